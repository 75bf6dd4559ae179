"""iCaRL: its targets, loss and means by hand, and what it leaves behind."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from borders import begin, end, info
from torch import Tensor, nn

from lgan.data.images import TensorImages
from lgan.errors import ConfigError
from lgan.methods.icarl import ICaRL
from lgan.networks.factory import NetworkFactory
from lgan.objectives.acgan import ACGAN
from lgan.objectives.adversarial import Wasserstein

TASKS = [(0, 1), (2,)]
HALF = math.sqrt(0.5)


class Corner(nn.Module):
    """Features are a picture's two upper pixels, scaled."""

    def __init__(self, image_shape: Any, num_classes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))
        self.score, self.label = nn.Linear(2, 1), nn.Linear(2, num_classes)

    def features(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :2] * self.scale

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(x)
        return self.score(features).squeeze(1), self.label(features)


def corners(*rows: tuple[float, float]) -> Tensor:
    """Return pictures (B, 1, 2, 2) with these upper pixels."""
    return torch.tensor(rows)[:, None, None].expand(-1, 1, 2, 2)


def kept(*classes: tuple[int, list[tuple[float, float]]]) -> TensorImages:
    """Return pictures of classes, of these upper pixels."""
    rows = [corner for _, each in classes for corner in each]
    labels = [label for label, each in classes for _ in each]
    pictures = ((corners(*rows) + 1) * 127.5).round()
    return TensorImages(pictures.byte().contiguous(), torch.tensor(labels))


FIRST = kept((0, [(1, 1), (1, 1)]), (1, [(1, -1), (-0.2, -0.2)]))
SECOND = kept((2, [(-1, -1), (-1, 1)]))


def make(**knobs: Any) -> ICaRL:
    """Return iCaRL on `Corner`, of four outputs, in its first task."""
    settings = {"real_per_class": 2, "real_total": None, "real_choice": "random"} | knobs
    method = ICaRL(
        name="icarl",
        networks=NetworkFactory(nn.Identity, Corner, (1, 2, 2), 4, seed=0),
        objective=ACGAN(Wasserstein()),
        optimizer=partial(torch.optim.Adam, lr=0.1),
        **settings,
    )
    method.begin_task(info(0, TASKS, FIRST, num_classes=4))
    return method


def second_task(**knobs: Any) -> ICaRL:
    """Return it in its second task, with the first one's pictures kept."""
    method = end(make(**knobs))
    method.begin_task(info(1, TASKS, SECOND, num_classes=4))
    assert isinstance(method, ICaRL)
    return method


def answer(method: ICaRL, *logits: float) -> None:
    """Let the network give these outputs for every picture."""
    with torch.no_grad():
        method.discriminator.label.weight.zero_()
        method.discriminator.label.bias.copy_(torch.tensor(logits))


@pytest.mark.parametrize("loss_over", ["all", "seen"])
def test_targets_and_loss_by_hand(loss_over) -> None:
    method = make(loss_over=loss_over)
    answer(method, math.log(3), -math.log(4), 5.0, 5.0)  # what it thinks of later classes is moot
    begin(end(method), 1, TASKS, num_classes=4)
    answer(method, 0.0, math.log(2), -math.log(2), 1.0)
    # a new picture, and one that was kept of class 0
    batch = {"x": corners((1, 1), (1, -1)), "y": torch.tensor([2, 0])}
    old = [3 / 4, 1 / 5]  # sigmoids of log 3 and -log 4
    expected = torch.tensor([[*old, 1.0, 0.0], [*old, 0.0, 0.0]])
    torch.testing.assert_close(method.targets(batch, 4), expected)
    given = [1 / 2, 2 / 3, 1 / 3, math.e / (1 + math.e)][: 3 if loss_over == "seen" else 4]
    terms = [
        -(t * math.log(g) + (1 - t) * math.log(1 - g))
        for row in expected.tolist()
        for t, g in zip(row, given, strict=False)
    ]
    assert method.loss("discriminator", batch).item() == pytest.approx(sum(terms) / len(terms))


def test_the_first_task_has_one_hot_targets() -> None:
    targets = make().targets({"x": corners((1, 1)), "y": torch.tensor([1])}, 4)
    assert targets.tolist() == [[0, 1, 0, 0]]


def test_the_former_network_is_not_trained_and_goes_with_the_task() -> None:
    method = second_task()
    assert method.former is not None and method.former is not method.discriminator
    method.loss("discriminator", {"x": corners((1, 1)), "y": torch.tensor([2])}).backward()
    assert [p.grad for p in method.former.parameters()] == [None] * 5
    inside = {name for name in method.state_dict() if name.startswith("former.")}
    assert len(inside) == 5, "a checkpoint inside the task has it"
    end(method)
    assert {*method.border_state()["state"]} == {*make().state_dict()}


def test_the_nearest_mean_by_hand() -> None:
    method = end(make())
    # class 0: (1, 1) twice; class 1: (1, -1) and (-0.2, -0.2), which
    # count alike at length 1; their mean there, (0, -1 / sqrt 2), is (0, -1) at length 1
    expected = torch.tensor([[HALF, HALF], [0, -1], [0, 0], [0, 0]])
    torch.testing.assert_close(method.means, expected)
    found = method.classify(corners((0.3, 0.4)))  # at length 1 (0.6, 0.8)
    squares = [2 - 2 * 1.4 * HALF, 2 + 2 * 0.8]
    torch.testing.assert_close(found[0, :2], -torch.tensor(squares))
    assert found[0, 2:].tolist() == [-torch.inf] * 2, "there is no picture of these classes"


def test_all_means_are_taken_anew_with_the_new_network() -> None:
    method = second_task()
    with torch.no_grad():
        method.discriminator.scale.copy_(torch.tensor([1.0, -1.0]))
    end(method)
    expected = torch.tensor([[HALF, -HALF], [0, 1], [-1, 0], [0, 0]])
    torch.testing.assert_close(method.means, expected)
    assert method.classify(corners((-3, 0))).argmax().item() == 2


def test_means_over_mirror_images() -> None:
    method = make(mirror=True)
    method.end_task(info(0, TASKS, kept((0, [(1, 1), (1, -1)]), (1, [(-1, -1)] * 2))))
    # of class 0 (1, 1) and (1, -1), mirrored (1, 1) and (-1, 1): their sum is (2, 2)
    torch.testing.assert_close(method.means[:2], torch.tensor([[HALF, HALF], [-HALF, -HALF]]))


def test_the_outputs_are_a_second_head_and_the_only_one_within_a_task() -> None:
    method = end(make())
    answer(method, 1.0, 2.0, 3.0, 4.0)
    picture = corners((1, 1))
    assert method.other_heads["hybrid1"](picture).tolist() == [[1, 2, 3, 4]]
    assert method.classify(picture).argmax().item() == 0
    begin(method, 1, TASKS, num_classes=4)
    assert method.classify(picture).tolist() == [[1, 2, 3, 4]]


def test_a_saved_border_classifies_as_before() -> None:
    method, other = end(second_task()), make()
    other.load_border_state(method.border_state())
    other.info = None  # as a run that was loaded
    pictures = corners((1, 1), (0.5, -1), (-1, 0.2))
    assert torch.equal(other.classify(pictures), method.classify(pictures))
    assert other.memory is not None and other.memory.counts == {0: 2, 1: 2, 2: 2}


def test_pictures_are_looked_at_as_for_evaluation_and_for_classes_seen() -> None:
    method, modes = second_task(), list[bool]()
    for network in (method.former, method.discriminator):
        assert network is not None
        network.train().label.register_forward_hook(lambda own, *_: modes.append(own.training))
    method.loss("discriminator", {"x": corners((1, 1)), "y": torch.tensor([2])})
    assert modes == [True, False]
    modes.clear()
    _, logits = method.view(corners((1, 1)))
    assert torch.isfinite(logits).tolist() == [[True, True, True, False]]
    end(method)
    assert modes[0] and not any(modes[1:]) and len(modes) > 1


def test_means_of_further_classes_find_room() -> None:
    method = end(make())
    before = method.means.clone()
    method.grow(6)
    assert torch.equal(method.means, torch.cat([before, torch.zeros(2, 2)]))
    assert method.classify(corners((1, 1))).shape == (1, 6)


def test_the_rate_is_for_a_number_of_outputs() -> None:
    [optimizer] = make(rate_outputs=100).configure_optimizers()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 4 / 100)
    [optimizer] = make(rate_outputs=100, loss_over="seen").configure_optimizers()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 2 / 100), "a mean over two"
    [optimizer] = make().configure_optimizers()
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_what_it_keeps_is_declared_and_needed() -> None:
    assert make(real_choice="herding").declaration == "keeps real data (2 per class, by herding)"
    method = make(real_per_class=None, real_total=5, real_rounding="ceil")
    assert method.declaration == "keeps real data (K=5, rounded up)"
    with pytest.raises(ConfigError, match=r"method=icarl tells classes by .*real_total or"):
        make(real_per_class=None)
