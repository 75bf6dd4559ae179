from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from borders import begin, end
from torch import nn

from lgan.methods.dgr import DGR, assign_by_label
from lgan.objectives.vae import VAE


class Solver(nn.Linear):
    def __init__(self, image_shape, num_classes) -> None:
        super().__init__(image_shape[1] * image_shape[2], num_classes)

    def forward(self, x):
        return super().forward(x.flatten(1))


def second_task(make_method, **knobs):
    method = make_method(DGR, solver=Solver, **knobs)
    return begin(end(method), 1)


def test_gan_knows_one_class_and_solver_knows_all(make_method) -> None:
    method = make_method(DGR, solver=Solver)
    assert method.generator.num_classes == 1
    assert method.solver.out_features == 4
    assert method.objective.class_weight == 0
    assert list(method.players) == ["generator", "discriminator", "solver"]


def test_assignment_by_hand() -> None:
    predicted = torch.tensor([2, 0, 0, 1, 0, 2])
    requested = torch.tensor([0, 1, 1, 2])
    # 0 -> image 1, first 1 -> image 3, second 1 has none left -> first unused image (2), 2 -> 0
    assert assign_by_label(predicted, requested).tolist() == [1, 3, 2, 0]


@pytest.mark.parametrize(("ratio", "new"), [(None, 0.5), (0.3, 0.3)])
def test_replay_weights_and_labels(make_method, batch, ratio, new) -> None:
    """Only classes 0 and 1 are old: a solver that would rather say 3 is not heard on that."""
    method = second_task(make_method, ratio=ratio)
    with torch.no_grad():
        method.old_solver.bias += torch.tensor([0.0, 0.0, 50.0, 100.0])
    method.train()
    full = method.with_replay(batch)
    assert not method.old_solver.training, "it labels as it was tested"
    torch.testing.assert_close(full["weight"], torch.tensor([new / 6] * 6 + [(1 - new) / 6] * 6))
    logits = method.old_solver(full["x"][6:])
    assert (logits.argmax(1) == 3).all()
    assert full["y"][6:].tolist() == logits[:, :2].argmax(1).tolist()


def test_solver_loss_mixes_new_and_replayed(make_method, batch) -> None:
    method = second_task(make_method, ratio=0.25)
    method.noise.reseed(2)
    full = method.with_replay(batch)
    method.noise.reseed(2)
    loss = method.loss("solver", batch)
    new = F.cross_entropy(method.solver(full["x"][:6]), full["y"][:6])
    old = F.cross_entropy(method.solver(full["x"][6:]), full["y"][6:])
    torch.testing.assert_close(loss, 0.25 * new + 0.75 * old)


def test_first_task_has_no_replay(make_method, batch) -> None:
    method = make_method(DGR, solver=Solver)
    torch.testing.assert_close(
        method.loss("solver", batch), F.cross_entropy(method.solver(batch["x"]), batch["y"])
    )
    assert [player for player, _ in method.schedule([batch])] == [
        "discriminator", "generator", "solver",
    ]  # fmt: skip


class Brightness(nn.Module):
    """Takes dark pictures for class 0, bright ones for 1, and would call all of them 3."""

    def __init__(self, image_shape, num_classes) -> None:
        super().__init__()
        self.never_learnt = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        level = x.flatten(1).mean(1)
        nothing = torch.full_like(level, -9.0)
        return torch.stack([-level, level, nothing, nothing + 99.0], 1)


def test_generate_gives_what_the_solver_takes_for_it(make_method) -> None:
    """In the first task classes 0 and 1 are seen; the solver's 3 is no answer."""
    method = begin(make_method(DGR, solver=Brightness, noise_rows=16), 0)
    labels = torch.tensor([0, 1, 1, 0, 1])
    images = method.sample(labels, method.noise)
    assert images.shape == (5, 1, 2, 2)
    assert (images.flatten(1).mean(1) > 0).long().tolist() == labels.tolist()


def test_the_solver_is_stored_with_the_generator(make_method) -> None:
    method = second_task(make_method)
    sizes = [sum(p.numel() for p in m.parameters()) for m in (method.solver, method.generator)]
    assert method.parameter_counts()["stored"] == sum(sizes)


def test_a_vae_learns_from_replays_too(make_method, networks, batch) -> None:
    """A GAN's generator looks at no picture, new or replayed."""
    shown: list[Any] = []

    class Watched(VAE):
        def generator_loss(self, generator, discriminator, batch, noise):
            shown.append(batch)
            return super().generator_loss(generator, discriminator, batch, noise)

    objective = Watched()
    method = DGR(
        name="tiny", networks=objective.networks(networks), objective=objective, solver=Solver,
        optimizer=partial(torch.optim.Adam, lr=1e-2),
    )  # fmt: skip
    method = begin(end(begin(method, 0, [(0, 1), (2, 3)])), 1)
    assert [role for role, _ in method.schedule([batch])] == ["generator", "solver"]
    method.loss("generator", batch).backward()
    (full,) = shown
    assert len(full["x"]) == 12 and (full["y"] == 0).all()
