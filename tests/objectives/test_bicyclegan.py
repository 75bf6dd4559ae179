"""BicycleGAN by hand, on linear networks and pictures of one pixel, with codes of two numbers."""

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
from lgan.networks.composite import BicycleDiscriminator, BicycleGenerator
from lgan.networks.modes import frozen
from lgan.networks.roles import PictureDiscriminator, Translator
from lgan.objectives.adversarial import LeastSquares
from lgan.objectives.bicyclegan import BicycleGAN, divergence
from lgan.seeding import Noise


class Coded(Translator):
    """G(z, c) = a z + c_0 + c_1; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.seen = nn.Parameter(torch.tensor(1.0)), []

    def forward(self, z, code):
        self.seen.append((z.flatten().tolist(), code.flatten().tolist()))
        return self.a * z + code.sum(1)[:, None, None, None]


class Encoder(nn.Module):
    """E(x): means (a x, 2 a x), log variances (0, ln 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        mean = self.a * x.flatten(1) * torch.tensor([1.0, 2.0])
        return mean, torch.tensor([0.0, math.log(4)]).expand_as(mean)


class Scales(PictureDiscriminator):
    """A map for each factor, the factor times the picture."""

    def __init__(self, *factors: float) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.tensor(factors))

    def forward(self, image):
        return [f * image for f in self.factors]


class Scripted(Noise):
    """Hands out prepared rows of normal noise, one call after the other."""

    def __init__(self, *rows) -> None:
        super().__init__(0)
        self.rows = list(rows)

    def normal(self, *shape):
        out = torch.tensor(self.rows.pop(0)).reshape(shape)
        assert out.shape == shape
        return out


def script() -> Scripted:
    return Scripted([[1.0, -1.0]], [[1.0, -0.5]])  # of the encoded code, then the random code


def players() -> tuple[BicycleGenerator, BicycleDiscriminator]:
    sides = iter((Scales(1.0), Scales(1.0, 2.0)))
    made = {"translator": lambda *_, **__: Coded(), "encoder": lambda *_, **__: Encoder()}
    generator = BicycleGenerator((1, 1, 1), 1, **made, code_length=2)
    return generator, BicycleDiscriminator((1, 1, 1), 1, lambda *_: next(sides))


def batch() -> dict:
    x, z = torch.tensor([1.0, 4.0]), torch.tensor([2.0, 7.0])
    return {"x": x.view(2, 1, 1, 1), "z": z.view(2, 1, 1, 1), "y": torch.tensor([0, 0])}


def bicyclegan(**knobs) -> BicycleGAN:
    return BicycleGAN(LeastSquares(1.0), **knobs)


# x1 = 1: mean (1, 2), standard deviation (1, 2), code (1 + 1, 2 - 2) = (2, 0); fake1 = 2 + 2 = 4.
# Random code (1, -0.5): fake2 = 2.5, whose means are (2.5, 5).
FOOL = (4 - 1) ** 2 + (2.5 - 1) ** 2 + (5 - 1) ** 2
KL = 0.5 * (1 + 1 - 1 - 0) + 0.5 * (4 + 4 - 1 - math.log(4))
CODE = (1.5 + 5.5) / 2


def test_generator_loss_by_hand() -> None:
    loss = bicyclegan().generator_loss(*players(), batch(), script())
    assert loss.item() == pytest.approx(FOOL + 10 * 3 + 0.01 * KL + 0.5 * CODE)


def test_weights_of_the_generator_loss() -> None:
    for l1, kl, code in [(1.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 3.0)]:
        objective = bicyclegan(l1_weight=l1, kl_weight=kl, code_weight=code)
        loss = objective.generator_loss(*players(), batch(), script())
        assert loss.item() == pytest.approx(FOOL + 3 * l1 + kl * KL + code * CODE)


def test_discriminator_loss_by_hand() -> None:
    # D: real 1 (x1), fake 4. D2: real 4 (x2) at two scales, fake 2.5 at two scales.
    loss = bicyclegan().discriminator_loss(*players(), batch(), script())
    encoded, random = 0 + 16, (4 - 1) ** 2 + (8 - 1) ** 2 + 2.5**2 + 5**2
    assert loss.item() == pytest.approx(encoded + random)
    halved = bicyclegan(d_weight=0.5).discriminator_loss(*players(), batch(), script())
    assert halved.item() == pytest.approx(loss.item() / 2)


def test_both_translations_are_of_the_first_half() -> None:
    generator, discriminator = players()
    bicyclegan().generator_loss(generator, discriminator, batch(), script())
    assert generator.translator.seen == [([2.0], [2.0, 0.0]), ([2.0], [1.0, -0.5])]


def test_kl_is_the_divergence_from_the_standard_normal() -> None:
    mean, log_variance = torch.tensor([[0.3, -1.0]]), torch.tensor([[0.5, -2.0]])
    law = torch.distributions.Normal(mean, (log_variance / 2).exp())
    normal = torch.distributions.Normal(torch.zeros(1, 2), torch.ones(1, 2))
    expected = torch.distributions.kl_divergence(law, normal).sum(1)
    torch.testing.assert_close(divergence(mean, log_variance), expected)
    assert divergence(torch.zeros(3, 2), torch.zeros(3, 2)).tolist() == [0, 0, 0]


def four() -> dict:
    x, z = torch.tensor([1.0, 1.0, 4.0, 4.0]), torch.tensor([2.0, 2.0, 7.0, 7.0])
    return {"x": x.view(4, 1, 1, 1), "z": z.view(4, 1, 1, 1), "y": torch.zeros(4).long()}


def test_kl_is_summed_and_the_rest_is_averaged_over_the_batch() -> None:
    """The same pair twice: the KL term doubles, no other does."""
    twice = Scripted([[1.0, -1.0]] * 2, [[1.0, -0.5]] * 2)
    loss = bicyclegan(kl_weight=1.0).generator_loss(*players(), four(), twice)
    assert loss.item() == pytest.approx(FOOL + 30 + 2 * KL + 0.5 * CODE)


def test_kl_is_summed_over_the_ranks() -> None:
    """Each of two ranks has half of the pairs above; the mean of their losses is the whole's."""
    noise = script()
    noise.world = 2
    loss = bicyclegan(kl_weight=1.0).generator_loss(*players(), batch(), noise)
    assert loss.item() == pytest.approx(FOOL + 30 + 2 * KL + 0.5 * CODE)


def test_weights_of_samples_count() -> None:
    data = {**batch(), "weight": torch.tensor([1.5, 1.5])}  # three times the uniform 1/2
    for player in ("generator_loss", "discriminator_loss"):
        plain = getattr(bicyclegan(), player)(*players(), batch(), script())
        weighted = getattr(bicyclegan(), player)(*players(), data, script())
        torch.testing.assert_close(weighted, 3 * plain)


def grads(objective: BicycleGAN) -> tuple[float, float]:
    generator, discriminator = players()
    objective.generator_loss(generator, discriminator, batch(), script()).backward()
    return generator.translator.a.grad.item(), generator.encoder.a.grad.item()


def test_the_code_loss_trains_the_translator_only() -> None:
    without, with_code = grads(bicyclegan(code_weight=0.0)), grads(bicyclegan(code_weight=0.5))
    assert with_code[1] == without[1]
    # |fake2 - 1| and |2 fake2 + 0.5|: (1 + 2) / 2 of d fake2 = z1 = 2, times 0.5.
    assert with_code[0] - without[0] == pytest.approx(0.5 * 1.5 * 2)


def test_the_encoder_learns_from_the_first_half_by_hand() -> None:
    # d fake1 / da = x1 + 2 x1 = 3. D: 2 (4 - 1) * 3; L1: 10 * 3; KL: mean * d mean = 1 + 2 * 2.
    assert grads(bicyclegan())[1] == pytest.approx(18 + 30 + 0.01 * 5)


def test_the_encoder_is_trained_after_the_code_loss_too() -> None:
    """Detached weights are a view for one call: the encoder's own stay as they were."""
    generator, discriminator = players()
    bicyclegan().generator_loss(generator, discriminator, batch(), script())
    assert generator.encoder.a.requires_grad
    assert [name for name, _ in generator.encoder.named_parameters()] == ["a"]


def test_gradients_reach_the_right_networks() -> None:
    generator, discriminator = players()
    bicyclegan().discriminator_loss(generator, discriminator, batch(), script()).backward()
    assert all(p.grad is None for p in generator.parameters())
    # D = f p: 2 (1 - 1) 1 + 2 * 4 * 4. D2's first: 2 (4 - 1) 4 + 2 * 2.5 * 2.5.
    assert discriminator.encoded.factors.grad.tolist() == pytest.approx([32])
    assert discriminator.random.factors.grad[0].item() == pytest.approx(36.5)
    discriminator.zero_grad()
    with frozen([discriminator]):
        bicyclegan().generator_loss(generator, discriminator, batch(), script()).backward()
    assert all(p.grad is None for p in discriminator.parameters())


def test_a_prepared_batch_gives_the_same() -> None:
    objective, (generator, discriminator) = bicyclegan(), players()
    prepared = objective.prepare(generator, batch(), script())
    for player in ("discriminator_loss", "generator_loss"):
        loss = getattr(objective, player)(generator, discriminator, prepared, Scripted())
        plain = getattr(objective, player)(*players(), batch(), script())
        assert torch.equal(loss, plain)
    assert len(generator.translator.seen) == 2
    loss.backward()
    assert (generator.translator.a.grad.item(), generator.encoder.a.grad.item()) == grads(objective)


def test_an_odd_batch_is_refused() -> None:
    data = {key: tensor[:1] for key, tensor in batch().items()}
    with pytest.raises(ConfigError, match=r"training.batch_size=1 .* is odd"):
        bicyclegan().generator_loss(*players(), data, script())


def test_networks_are_checked() -> None:
    generator, discriminator = players()
    bicyclegan().check(generator, discriminator)
    with pytest.raises(ConfigError, match="generator=Coded is none"):
        bicyclegan().check(Coded(), discriminator)
    with pytest.raises(ConfigError, match="BicycleDiscriminator, .*discriminator=Scales is none"):
        bicyclegan().check(generator, Scales(1.0))
    with pytest.raises(ConfigError, match="makes them from noise"):
        check_networks(bicyclegan(), Encoder(), discriminator)
    discriminator.encoded.conditional = True
    with pytest.raises(ConfigError, match="Scales was built with conditional=true"):
        bicyclegan().check(generator, discriminator)


def test_config() -> None:
    objective = instantiate(OmegaConf.load(Path(config_path(), "objective", "bicyclegan.yaml")))
    weights = (objective.l1_weight, objective.kl_weight, objective.code_weight, objective.d_weight)
    assert weights == (10, 0.01, 0.5, 1)
    assert objective.adversarial.generator(torch.tensor(3.0)).item() == 4  # no half
    assert (objective.name, objective.order) == ("bicyclegan", ("discriminator", "generator"))
