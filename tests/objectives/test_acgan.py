from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lgan.objectives.acgan import ACGAN, gradient_penalty
from lgan.objectives.adversarial import Wasserstein
from lgan.seeding import Noise


class Fixed(nn.Module):
    """A generator that shows its noise as a 1x1x2 picture."""

    z_dim = 2

    def forward(self, z, y):
        return z[:, None, None, :]


class Scores(nn.Module):
    """Score = w . x, two class logits (first pixel, second pixel)."""

    def __init__(self, weight=(3.0, 4.0)) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x):
        flat = x.flatten(1)
        return flat @ self.weight, flat


def hand_batch() -> dict:
    real = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[:, None, None, :]
    return {"x": real, "y": torch.tensor([0, 0]), "z": torch.tensor([[0.5, 0.5], [1.0, -1.0]])}


def test_discriminator_loss_by_hand() -> None:
    # Scores: real 3, 4; fake 3.5, -1. CE on real images, label 0: ln(1 + e^-1), ln(1 + e^1).
    # The score's gradient is (3, 4) everywhere, norm 5: penalty (5 - 1)^2 = 16.
    loss = ACGAN(Wasserstein(), class_weight=0.5, penalty_weight=10).discriminator_loss(
        Fixed(), Scores(), hand_batch(), Noise(0)
    )
    ce = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(1))) / 2
    assert loss.item() == pytest.approx((3.5 - 1) / 2 - 3.5 + 0.5 * ce + 160, rel=1e-6)


def test_a_lazy_penalty_is_the_same_on_average() -> None:
    """Every third step has three times the penalty, 3 * 160; the generator's loss has none."""
    objective = ACGAN(Wasserstein(), penalty_weight=10, penalty_every=3)
    plain = ACGAN(Wasserstein(), penalty_weight=0)
    extra = []
    for objective.turn in range(6):
        losses = [
            each.discriminator_loss(Fixed(), Scores(), hand_batch(), Noise(0))
            for each in (objective, plain)
        ]
        extra.append((losses[0] - losses[1]).item())
    assert extra == pytest.approx([480, 0, 0] * 2, rel=1e-5)


def test_generator_loss_by_hand() -> None:
    # Fakes (0.5, 0.5) and (1, -1), label 0: CE ln 2 and ln(1 + e^-2).
    loss = ACGAN(Wasserstein()).generator_loss(Fixed(), Scores(), hand_batch(), Noise(0))
    ce = (math.log(2) + math.log(1 + math.exp(-2))) / 2
    assert loss.item() == pytest.approx(-(3.5 - 1) / 2 + ce, rel=1e-6)


def test_weights_make_a_second_loss() -> None:
    """A weighted, concatenated batch is the weighted sum of two losses."""
    objective, batch, noise = ACGAN(Wasserstein(), penalty_weight=0), hand_batch(), Noise(0)
    other = {"x": batch["x"] * 0.3, "y": torch.tensor([1, 1]), "z": batch["z"] * 2}
    both = {key: torch.cat([batch[key], other[key]]) for key in batch}
    both["weight"] = torch.tensor([0.5, 0.5, 1.5, 1.5])
    for player in ("discriminator_loss", "generator_loss"):
        loss = getattr(objective, player)
        one = loss(Fixed(), Scores(), batch, noise) + 3 * loss(Fixed(), Scores(), other, noise)
        torch.testing.assert_close(loss(Fixed(), Scores(), both, noise), one)


def test_unconditional_has_no_classifier_term() -> None:
    batch = hand_batch()
    objective = ACGAN(Wasserstein(), class_weight=0, penalty_weight=0)
    loss = objective.discriminator_loss(Fixed(), Scores(), batch, Noise(0))
    assert loss.item() == pytest.approx((3.5 - 1) / 2 - 3.5)


class Smooth(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
        self.double()

    def forward(self, x):
        return self.body(x).squeeze(1), None


def penalty_by_differences(net, real, fake, noise) -> float:
    """The penalty with central differences in place of the inner derivative."""
    mix = noise.uniform(len(real), 1, 1, 1).double()
    between, h, total = fake + mix * (real - fake), 1e-5, 0.0
    for image in between:
        squares = 0.0
        for i in range(4):
            step = torch.zeros(4, dtype=torch.double)
            step[i] = h
            step = step.view(1, 2, 2)
            up, down = net((image + step)[None])[0], net((image - step)[None])[0]
            squares += ((up - down) / (2 * h)).item() ** 2
        total += (math.sqrt(squares) - 1) ** 2
    return total / len(between)


def doubles(seed: int) -> torch.Tensor:
    return torch.randn(
        3, 1, 2, 2, dtype=torch.double, generator=torch.Generator().manual_seed(seed)
    )


def test_penalty_against_finite_differences() -> None:
    net, real, fake = Smooth(), doubles(0), doubles(1)
    weight = torch.ones(3, dtype=torch.double)
    value = gradient_penalty(net, real, fake, weight, Noise(5))
    assert value.item() == pytest.approx(
        penalty_by_differences(net, real, fake, Noise(5)), rel=1e-6
    )


def test_double_backward_against_finite_differences() -> None:
    """d penalty / d weight needs the second derivative of the critic."""
    net, real, fake = Smooth(), doubles(0), doubles(1)
    weight = torch.ones(3, dtype=torch.double)
    gradient_penalty(net, real, fake, weight, Noise(5)).backward()
    parameter = net.body[1].weight
    for index in [(0, 0), (3, 2), (7, 3)]:
        expected = parameter.grad[index].item()
        with torch.no_grad():
            parameter[index] += 1e-4
            up = penalty_by_differences(net, real, fake, Noise(5))
            parameter[index] -= 2e-4
            down = penalty_by_differences(net, real, fake, Noise(5))
            parameter[index] += 1e-4
        assert expected == pytest.approx((up - down) / 2e-4, rel=1e-4)


def test_penalty_looks_at_the_first_samples_only() -> None:
    """With `penalised` = n the penalty is the mean over the first n samples."""

    class Square(nn.Module):
        def forward(self, x):
            return (x.flatten(1) ** 2).sum(1) / 2, x.flatten(1)  # gradient = x itself

    x = torch.tensor([[3.0, 4.0], [30.0, 40.0]])[:, None, None, :]
    batch = {"x": x, "y": torch.tensor([0, 0]), "z": x.flatten(1), "penalised": 1}
    objective = ACGAN(Wasserstein(), class_weight=0, penalty_weight=1)
    loss = objective.discriminator_loss(Fixed(), Square(), batch, Noise(0))
    assert loss.item() == pytest.approx(16.0)
