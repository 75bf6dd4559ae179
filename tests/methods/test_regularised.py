"""Classifiers held near their weights: importances by hand, and what the penalty does."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from borders import begin, end
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from lgan.methods.classifier_only import RehearsalClassifier
from lgan.methods.regularised import (
    EWCClassifier,
    PIClassifier,
    Regularised,
    RWalkClassifier,
    scaled,
)

KINDS = [EWCClassifier, PIClassifier, RWalkClassifier]
PATH = 20  # 4 * 4 weights and 4 biases of the class head; the score's 5 are not on the path


def walk(method: Any, gradients: Sequence[float], moves: Sequence[float]) -> None:
    """Take steps from theta = 0 with the same g and move of each weight, up to a task's end."""
    theta = torch.zeros(PATH)
    for buffer in ("anchor", "window_theta"):
        if hasattr(method, buffer):
            getattr(method, buffer).zero_()
    for step, (gradient, move) in enumerate(zip(gradients, moves, strict=True)):
        method.look_back(theta, step)
        method.look(torch.full((PATH,), gradient), theta)
        theta = theta + move
    method.look_back(theta, len(moves))
    method.add_importance(theta)


def train(
    method: Any,
    steps: int,
    rate: float,
    batch: dict[str, Tensor],
    kind: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
) -> list[float]:
    """Take steps on one batch; return the losses."""
    optimizer = kind(method.discriminator.parameters(), lr=rate)
    losses = []
    for step in range(steps):
        method.objective.turn = method.step = step
        loss = method.loss("discriminator", batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    method.step = steps
    return losses


def task(classes: Sequence[int]) -> dict[str, Tensor]:
    images = torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(classes[0])) * 2 - 1
    return {"x": images, "y": torch.tensor(classes).repeat(6 // len(classes))}


def test_only_weights_that_the_logits_depend_on_are_held(make_method) -> None:
    method = make_method(PIClassifier, strength=1.0)
    assert method.on_path == {"label.weight", "label.bias"}
    assert method.theta().shape == method.omega.shape == (PATH,)


def test_fisher_is_a_mean_of_squares_over_windows(make_method) -> None:
    method = make_method(EWCClassifier, strength=1.0, window=2, decay=0.9)
    walk(method, [1, 3, 2, 2], [0.1] * 4)
    # mean(1, 9) = 5: 0.9 * 5 = 4.5; mean(4, 4) = 4: 0.1 * 4.5 + 0.9 * 4 = 4.05
    assert torch.allclose(method.fisher, torch.tensor(4.05))
    walk(method, [1], [0.1])  # a window that is not filled does not count
    assert torch.allclose(method.fisher, torch.tensor(4.05))


def test_a_task_shorter_than_a_window_is_one(make_method) -> None:
    method = make_method(EWCClassifier, strength=1.0, window=10, decay=1.0)
    walk(method, [1, 2, 3, 4], [0.1] * 4)  # four steps, as the task has
    assert torch.allclose(method.fisher, torch.tensor(30 / 4))


def test_pi_adds_what_was_gained_per_squared_distance(make_method) -> None:
    method = make_method(PIClassifier, strength=1.0, damping=0.5)
    walk(method, [-2, -1], [0.5, 0.5])
    # gain 2 * 0.5 + 1 * 0.5 = 1.5 over a distance of 1: 1.5 / (1 + 0.5)
    assert torch.allclose(method.omega, torch.tensor(1.0))
    method.gain.zero_()
    method.last_gradient.zero_()
    walk(method, [2, 1], [0.5, 0.5])  # what was lost counts as 0
    assert torch.allclose(method.omega, torch.tensor(1.0))


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        # F after the windows: 0.5 * 1 = 0.5, 0.5 * 0.5 + 0.5 * 4 = 2.25; windows move by 1 and -2
        # and gain 1 and -4.
        ("paper", max(0, 1 / (0.5 * 1 / 2 + 0.25) - 4 / (2.25 * 4 / 2 + 0.25))),
        ("code", 1 / (0 * 1 + 0.25) + 0),  # F before the windows; a negative one counts as 0
    ],
)
def test_scores_of_windows(make_method, reading, expected) -> None:
    settings = {"window": 2, "decay": 0.5, "damping": 0.25, "reading": reading}
    method = make_method(RWalkClassifier, strength=1.0, **settings)
    walk(method, [-1, -1, -2, -2], [0.5, 0.5, -1, -1])
    assert torch.allclose(method.score, torch.tensor(float(expected)))


@pytest.mark.parametrize(
    ("reading", "new", "expected"),
    [
        ("paper", [1, 1, 1, 1], [1, 1, 1, 1]),
        ("paper", [1, 0, 0, 0], [1, 0.5, 0.25, 0.125]),
        ("code", [1, 1, 1, 1], [1, 2, 3.5, 5.75]),
    ],
)
def test_scores_of_tasks(make_method, reading, new, expected) -> None:
    method = make_method(RWalkClassifier, strength=1.0, reading=reading)
    found = []
    for index, score in enumerate(new):
        begin(method, index, [(c,) for c in range(4)])
        method.new_score.fill_(score)
        method.felt.fill_(1)
        method.add_importance(method.theta())
        found.append(method.score.mean().item())
    assert found == expected


def test_the_report_says_how_much_the_metric_counts(make_method) -> None:
    method = make_method(RWalkClassifier, strength=1.0, window=2, decay=1.0, damping=0.2)
    # F dtheta^2 / 2 is 1 / 2 in the first window and 0.04 / 8 in the second
    walk(method, [1, 1, 0.2, 0.2], [0.5, 0.5, 0.25, 0.25])
    assert method.report() == {"metric_share": 0.5}


def test_importances_are_scaled_to_one() -> None:
    assert scaled(torch.tensor([2.0, 4.0, 3.0])).tolist() == [0, 1, 0.5]
    assert scaled(torch.full((3,), 7.0)).tolist() == [0, 0, 0]


def by_hooks(label: nn.Linear, kind: str, tasks: Sequence[Sequence[int]]) -> list[Tensor]:
    """Train the class head as the formulas say, looking behind each step; return theta by task.

    Eight steps a task in windows of two; lambda 2, a 0.9, xi and eps 0.01.
    """
    zeros, found, lost = torch.zeros(PATH), list[Tensor](), False
    fisher, omega, score = zeros, zeros, zeros
    for index, classes in enumerate(tasks):
        anchor = begun = parameters_to_vector(label.parameters()).detach()
        held = {"ewc": [fisher], "pi": [omega]}.get(kind, [fisher, score])
        if index and kind != "pi":
            held = [(each - each.min()) / (each.max() - each.min()) for each in held]
        path, squares, windows = zeros, zeros, zeros
        batch, optimizer = task(classes), torch.optim.Adam(label.parameters(), lr=0.5)
        for step in range(1, 9):
            theta = parameters_to_vector(label.parameters())
            logits = label(batch["x"].flatten(1))[:, : max(classes) + 1]
            entropy = F.cross_entropy(logits, batch["y"])
            parts = torch.autograd.grad(entropy, list(label.parameters()), retain_graph=True)
            gradient, penalty = parameters_to_vector(parts), sum(held) * (theta - anchor) ** 2
            optimizer.zero_grad()
            (entropy + 2 * penalty.sum()).backward()
            optimizer.step()
            after = parameters_to_vector(label.parameters()).detach()
            path, squares = path - gradient * (after - theta.detach()), squares + gradient**2
            if step % 2 == 0 and kind != "pi":
                before, fisher = fisher, 0.1 * fisher + 0.9 * squares / 2
                of_paper = path / (fisher * (after - begun) ** 2 / 2 + 0.01)
                of_code = (path / (before * (after - begun) ** 2 + 0.01)).clamp(min=0)
                windows = windows + (of_paper if kind == "paper" else of_code)
                begun, squares, path = after, zeros, zeros
        omega = omega + (path / ((after - anchor) ** 2 + 0.01)).clamp(min=0)
        lost |= bool((windows < 0).any())
        windows = windows.clamp(min=0)
        older = 1.5 * score if kind == "code" else score / 2
        score = older + windows / 2 if index else windows
        found.append(after)
    assert lost or kind != "paper", "else nothing tells what becomes of negative scores"
    return found


@pytest.mark.parametrize("name", ["ewc", "pi", "paper", "code"])
def test_three_tasks_follow_the_formulas(make_method, name) -> None:
    """g is of the entropy alone, and moves are those really taken, the penalty's too."""
    kind = {"ewc": EWCClassifier, "pi": PIClassifier}.get(name, RWalkClassifier)
    knobs: dict[str, Any] = {} if name == "ewc" else {"damping": 0.01}
    knobs |= {} if name == "pi" else {"window": 2}
    knobs |= {"reading": name} if kind is RWalkClassifier else {}
    method = make_method(kind, strength=2.0, real_per_class=None, **knobs)
    label, tasks = copy.deepcopy(method.discriminator.label), [(0, 1), (2,), (3,)]
    for index, expected in enumerate(by_hooks(label, name, tasks)):
        begin(method, index, tasks, steps=8)
        train(method, 8, 0.5, task(tasks[index]))
        end(method)
        torch.testing.assert_close(method.theta(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_of_strength_0_training_is_plain_to_the_bit(make_method, kind) -> None:
    methods = make_method(kind, strength=0.0), make_method(RehearsalClassifier)
    for method in methods:
        train(method, 4, 1e-2, task((0, 1)))
        begin(end(method), 1)
        train(method, 4, 1e-2, task((2, 3)))
    held, plain = (method.discriminator.state_dict() for method in methods)
    assert [name for name in plain if not torch.equal(held[name], plain[name])] == []


def test_of_a_huge_strength_weights_stay(make_method) -> None:
    moved = {}
    for strength in (0.0, 100.0):
        method = make_method(PIClassifier, strength=strength)
        train(method, 4, 1e-2, task((0, 1)))
        begin(end(method), 1)
        held, before = method.importance > 0, method.theta()
        assert held.any() and not held.all()
        method.importance[held] = 1.0
        train(method, 200, 4e-3, task((2, 3)), torch.optim.SGD)
        moved[strength] = (method.theta() - before)[held].abs().max()
    # about g / (2 lambda), and without the penalty up to 0.8 g
    assert moved[100.0] < moved[0.0] / 20


@pytest.mark.parametrize("kind", [PIClassifier, RWalkClassifier])
def test_what_is_gained_is_the_drop_of_the_loss(make_method, kind) -> None:
    settings = {"window": 100} if kind is RWalkClassifier else {}
    method = make_method(kind, strength=1.0, **settings)
    method.info = begin(method, 0, steps=100).info
    losses = train(method, 21, 1e-3, task((0, 1)))
    # the gain counts the steps that were looked back at: 20 of 21
    assert method.gain.sum().item() == pytest.approx(losses[0] - losses[-1], rel=0.02)
    assert losses[0] - losses[-1] > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_between_tasks_only_the_importance_is_kept(make_method, kind) -> None:
    method = make_method(kind, strength=1.0)
    train(method, 4, 1e-2, task((0, 1)))
    end(method)
    assert isinstance(method, Regularised)
    assert [name for name, _ in method.named_buffers()] == list(kind.carried)
    other = make_method(kind, strength=1.0)
    end(other).load_border_state(method.border_state())
    for each in (method, other):
        begin(each, 1)
    assert torch.equal(other.importance, method.importance)
    assert torch.equal(other.anchor, method.theta())


def test_new_classes_have_no_importance(make_method) -> None:
    method = make_method(PIClassifier, strength=1.0)
    method.omega.copy_(torch.arange(1.0, PATH + 1))
    begin(method, 1, [(0, 1, 2, 3), (4, 5)], num_classes=6)
    # rows of the weight, then biases: two rows of four, and two biases, come behind the others
    grown = method.omega.split([24, 6])
    assert grown[0].tolist() == [*range(1, 17), *[0] * 8]
    assert grown[1].tolist() == [17, 18, 19, 20, 0, 0]
