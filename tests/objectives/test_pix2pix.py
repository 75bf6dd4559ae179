"""pix2pix by hand, on linear networks and pictures of two pixels."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from lgan.cli.common import config_path
from lgan.errors import ConfigError
from lgan.methods.fit import check_networks
from lgan.networks.composite import CycleGenerator
from lgan.networks.modes import frozen
from lgan.networks.roles import PictureDiscriminator, Translator
from lgan.objectives.acgan import ACGAN
from lgan.objectives.adversarial import BinaryCrossEntropy, LeastSquares, Wasserstein
from lgan.objectives.pix2pix import Pix2Pix
from lgan.objectives.translation import mean_distance, patch_mean
from lgan.seeding import Noise


class Times(Translator):
    """G(z) = 2 z; counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.calls = nn.Parameter(torch.tensor(2.0)), 0

    def forward(self, z, y):
        self.calls += 1
        return self.weight * z


class Pairs(PictureDiscriminator):
    """D(image, condition) = image + condition / 2: each pixel is a patch."""

    conditional = True

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([1.0, 0.5]))

    def forward(self, image, condition):
        return self.weights[0] * image + self.weights[1] * condition


def row(*pixels: float) -> torch.Tensor:
    return torch.tensor(pixels)[None, None, None, :]


def batch() -> dict:
    return {"x": row(3, 1), "z": row(1, 2), "y": torch.tensor([0])}


def losses(objective, data, generator=None) -> tuple[float, float]:
    nets = (generator or Times(), Pairs())
    return (
        objective.discriminator_loss(*nets, data, Noise(0)).item(),
        objective.generator_loss(*nets, data, Noise(0)).item(),
    )


def test_least_squares_by_hand() -> None:
    # G(z) = (2, 4). Real patches 3.5, 2: squares 6.25 + 1. Fake patches 2.5, 5: 6.25 + 25; for G
    # 2.25 + 16. |G(z) - x| = 1, 3. Everything is a mean of two.
    d, g = losses(Pix2Pix(LeastSquares(scale=1.0)), batch())
    assert d == pytest.approx(0.5 * (7.25 / 2 + 31.25 / 2))
    assert g == pytest.approx(18.25 / 2 + 100 * 2)


def test_cross_entropy_by_hand() -> None:
    def minus_log_sigmoid(s: float) -> float:
        return math.log(1 + math.exp(-s))

    d, g = losses(Pix2Pix(BinaryCrossEntropy(), l1_weight=10, d_weight=0.25), batch())
    real = (minus_log_sigmoid(3.5) + minus_log_sigmoid(2)) / 2
    fake = (minus_log_sigmoid(-2.5) + minus_log_sigmoid(-5)) / 2
    assert d == pytest.approx(0.25 * (real + fake))
    assert g == pytest.approx((minus_log_sigmoid(2.5) + minus_log_sigmoid(5)) / 2 + 20)


def test_a_weighted_batch_is_the_weighted_sum() -> None:
    objective, one = Pix2Pix(LeastSquares(1.0)), batch()
    other = {"x": row(0, 1), "z": row(-1, 3), "y": torch.tensor([0])}
    both = {key: torch.cat([one[key], other[key]]) for key in one}
    plain, weighted = losses(objective, both), {**both, "weight": torch.tensor([0.5, 2.0])}
    for index, value in enumerate(losses(objective, weighted)):
        first, second = losses(objective, one)[index], losses(objective, other)[index]
        assert value == pytest.approx(0.5 * first + 2 * second)
        assert plain[index] == pytest.approx((first + second) / 2)


def test_gradients_reach_the_right_network() -> None:
    generator, discriminator = Times(), Pairs()
    objective = Pix2Pix(LeastSquares(1.0))
    objective.discriminator_loss(generator, discriminator, batch(), Noise(0)).backward()
    assert generator.weight.grad is None
    # d/da, D = a image + b condition: real (2.5 * 3 + 1 * 1), fake (2.5 * 2 + 5 * 4), over 2.
    assert discriminator.weights.grad[0].item() == pytest.approx((8.5 + 25) / 2)
    with frozen([discriminator]):
        discriminator.weights.grad = None
        objective.generator_loss(generator, discriminator, batch(), Noise(0)).backward()
    assert discriminator.weights.grad is None
    # Adversarial (1.5 * 1 + 4 * 2), of two, twice; L1: signs -1, +1 times z, over 2, times 100.
    assert generator.weight.grad.item() == pytest.approx(9.5 + 100 * (-1 + 2) / 2)


def test_a_prepared_batch_takes_one_pass_and_gives_the_same() -> None:
    objective, plain = Pix2Pix(LeastSquares(1.0)), Times()
    expected = losses(objective, batch(), plain)
    objective.generator_loss(plain, Pairs(), batch(), Noise(0)).backward()
    generator, discriminator = Times(), Pairs()
    prepared = objective.prepare(generator, batch(), Noise(0))
    with frozen([generator]):  # as a training step does: the graph outlives D's turn
        d = objective.discriminator_loss(generator, discriminator, prepared, Noise(0))
        d.backward()
    with frozen([discriminator]):
        g = objective.generator_loss(generator, discriminator, prepared, Noise(0))
        g.backward()
    assert (generator.calls, d.item(), g.item()) == (1, *expected)
    assert torch.equal(generator.weight.grad, plain.weight.grad)
    assert "made" not in batch()


def test_schedule_is_the_discriminator_first_with_one_pass_for_both() -> None:
    generator = Times()
    turns = list(Pix2Pix(LeastSquares(1.0)).schedule(generator, [batch()], Noise(0)))
    assert [player for player, _ in turns] == ["discriminator", "generator"]
    assert turns[0][1]["made"]["fake"] is turns[1][1]["made"]["fake"]
    assert generator.calls == 1


def test_maps_of_several_scales_are_added() -> None:
    maps = [torch.tensor([[[[1.0, 2.0]]], [[[3.0, 5.0]]]]), torch.tensor([[[[10.0]]], [[[20.0]]]])]
    assert patch_mean(lambda s: s, maps).tolist() == [1.5 + 10, 4 + 20]
    assert patch_mean(lambda s: s, torch.tensor([1.0, 2.0])).tolist() == [1, 2]


def test_pictures_of_two_shapes_are_not_broadcast() -> None:
    with pytest.raises(ConfigError, match=r"\(2, 3, 4, 4\).*\(2, 1, 4, 4\)"):
        mean_distance(torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 4, 4))


class Alone(nn.Module):
    def forward(self, image):
        return image


class Either(PictureDiscriminator):
    """A network that may have been built with a condition or without."""

    def __init__(self, conditional: bool) -> None:
        super().__init__()
        self.conditional = conditional

    def forward(self, image, condition=None):
        return image


class Composite(CycleGenerator):
    def __init__(self) -> None:
        super().__init__((1, 1, 2), 1, lambda *_, **__: Times())


class FromNoise(nn.Module):
    z_dim, num_classes = 2, 1


def test_networks_that_fit_pass() -> None:
    objective = Pix2Pix(BinaryCrossEntropy())
    check_networks(objective, Times(), Pairs())
    check_networks(objective, Times(), Either(True))
    check_networks(ACGAN(Wasserstein()), FromNoise(), Alone())


@pytest.mark.parametrize(
    ("generator", "discriminator", "reason"),
    [
        (Alone(), Pairs(), "Alone makes them from noise"),
        (Composite(), Pairs(), "Composite is a composite"),
        (Times(), Alone(), "discriminator=Alone takes a picture alone"),
        (Times(), Either(False), "discriminator=Either takes a picture alone"),
    ],
)
def test_networks_that_do_not_fit_are_refused(generator, discriminator, reason) -> None:
    with pytest.raises(ConfigError, match=reason):
        check_networks(Pix2Pix(BinaryCrossEntropy()), generator, discriminator)


def test_acgan_refuses_a_translator() -> None:
    with pytest.raises(ConfigError, match="Times translates pictures"):
        check_networks(ACGAN(Wasserstein()), Times(), Alone())


def test_a_generator_of_classes_says_how_long_its_noise_is() -> None:
    with pytest.raises(ConfigError, match="generator=Alone has no attribute z_dim"):
        check_networks(ACGAN(Wasserstein()), Alone(), Alone())


def test_kinds_of_tasks() -> None:
    assert (ACGAN.task_kind, Pix2Pix.task_kind) == ("classes", "pictures")


def test_config() -> None:
    config = OmegaConf.load(Path(config_path(), "objective", "pix2pix.yaml"))
    objective = instantiate(config)
    assert isinstance(objective.adversarial, BinaryCrossEntropy)
    assert (objective.l1_weight, objective.d_weight) == (100, 0.5)
    assert (objective.name, objective.order) == ("pix2pix", ("discriminator", "generator"))
    assert objective.state_dict() == {}
