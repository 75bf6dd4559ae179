from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import nn

from lgan.errors import ConfigError
from lgan.networks.composite import Autoencoder
from lgan.networks.factory import NetworkFactory
from lgan.networks.mlp import MLPDiscriminator, MLPGenerator
from lgan.objectives.vae import VAE, surprise
from lgan.seeding import Noise


class Shown(nn.Module):
    """A decoder that shows its code as a 1x1x2 picture."""

    z_dim = 2

    def __init__(self, *_) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, z, y):
        return self.scale * z[:, None, None, :]


class Half(nn.Module):
    """An encoder whose means are the pixels' halves, and whose log variances are -100."""

    def __init__(self, *_) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        mean = self.rate * x.flatten(1)
        return mean.sum(1), torch.cat([mean, torch.full_like(mean, -100.0)], dim=1)


def test_bernoulli_and_gaussian_by_hand() -> None:
    image, real = (torch.tensor(x).view(1, 1, 1, 2) for x in ([0.0, 0.5], [1.0, 0.0]))
    # p = 1/2, 3/4 of white pixels 1, 1/2.
    bernoulli = math.log(2) - (math.log(3 / 4) + math.log(1 / 4)) / 2
    assert surprise(image, real, "bernoulli", 1.0).tolist() == pytest.approx([bernoulli])
    # Squares 1 and 1/4 over 2 * 2^2, and twice log(2 sqrt(2 pi)).
    gaussian = 1.25 / 8 + 2 * math.log(2 * math.sqrt(2 * math.pi))
    assert surprise(image, real, "gaussian", 2.0).tolist() == pytest.approx([gaussian])
    saturated = surprise(-torch.ones(1, 1, 1, 2), real, "bernoulli", 1.0)
    assert torch.isfinite(saturated).all()


@pytest.mark.parametrize("weights", [None, [0.9, 0.1]])
def test_the_bound_by_hand(weights) -> None:
    """Codes are the means, (1, 0) / 2 and (0, -1) / 2, as e^-100 is no noise."""
    x = torch.tensor([[1.0, 0.0], [0.0, -1.0]])[:, None, None, :]
    batch = {"x": x, "y": torch.tensor([0, 1])}
    batch |= {} if weights is None else {"weight": torch.tensor(weights)}
    objective = VAE(likelihood="gaussian", deviation=1.0, kl_weight=2.0)
    loss = objective.generator_loss(Autoencoder((1, 1, 2), 2, Shown, Half), None, batch, Noise(0))
    # Each picture has one pixel that is wrong by 1/2; KL: (1/4 + 2 (e^-100 - 1 + 100)) / 2.
    each = 0.25 / 2 + 2 * math.log(math.sqrt(2 * math.pi)) + 2 * (0.25 / 2 + 99)
    assert loss.item() == pytest.approx(each, rel=1e-6)


def test_codes_are_drawn_with_the_deviation_that_the_encoder_gives() -> None:
    """A log variance of -2 log 2 is a deviation of 1/2; the decoder shows the code."""
    network, x = Autoencoder((1, 1, 2), 2, Shown, Half), torch.zeros(3, 1, 1, 2)
    logits = torch.tensor([0.0, 0.0, *[-2 * math.log(2)] * 2]).expand(3, 4)
    network.encoder.forward = lambda _: (None, logits)
    objective = VAE(likelihood="gaussian", deviation=1.0, kl_weight=0.0)
    batch = {"x": x, "y": torch.zeros(3, dtype=torch.int64)}
    loss = objective.generator_loss(network, None, batch, Noise(7))
    squares = (Noise(7).normal(3, 2) / 2).square().sum(1).mean().item() / 2
    assert loss.item() == pytest.approx(squares + 2 * math.log(math.sqrt(2 * math.pi)))


def players():
    objective = VAE()
    make = [partial(kind, width=8) for kind in (MLPGenerator, MLPDiscriminator)]
    factory = objective.networks(NetworkFactory(*make, (1, 2, 2), 3))
    batch = {"x": torch.rand(4, 1, 2, 2) * 2 - 1, "y": torch.tensor([0, 1, 2, 0])}
    return objective, factory.build_generator(), factory.build_discriminator(), batch


def test_both_networks_learn_and_the_classifier_by_itself() -> None:
    objective, generator, discriminator, batch = players()
    roles = []
    for role, part in objective.schedule(generator, [batch, batch], Noise(0)):
        objective.loss(role, generator, discriminator, part, Noise(0)).backward()
        roles.append(role)
    assert roles == ["discriminator", "generator"] * 2
    moved = {n for n, p in generator.named_parameters() if p.grad is not None and p.grad.any()}
    assert {"encoder.classify.weight", "decoder.body.0.weight"} < moved
    assert discriminator.classify.weight.grad.any() and discriminator.score.weight.grad is None
    without = VAE(class_weight=0).schedule(generator, [batch], Noise(0))
    assert [role for role, _ in without] == ["generator"]


def test_rows_that_are_drawn_are_classified_as_the_generator_draws_them() -> None:
    objective, generator, discriminator, batch = players()
    z = Noise(1).normal(4, generator.z_dim)
    drawn = batch | {"drawn": torch.tensor([True, False, False, True])}
    mixed = torch.where(drawn["drawn"][:, None, None, None], generator(z, batch["y"]), batch["x"])
    losses = [
        objective.discriminator_loss(generator, discriminator, part, Noise(1)).item()
        for part in (drawn, batch | {"x": mixed})
    ]
    assert losses[0] == pytest.approx(losses[1])


def test_reconstructions_are_of_the_mean_code() -> None:
    network = Autoencoder((1, 1, 2), 2, Shown, Half)
    x = torch.tensor([[1.0, -1.0]])[:, None, None, :]
    assert VAE().reconstruct(network, x, torch.tensor([0])).flatten().tolist() == [0.5, -0.5]


def test_a_generator_without_an_encoder_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"network.generator=Shown is none; build it by"):
        VAE().check(Shown(), Half())


def test_widths_are_the_decoders() -> None:
    objective = VAE()
    factory = objective.networks(NetworkFactory(MLPGenerator, MLPDiscriminator, (1, 2, 2), 3))
    network = factory.scaled(0.5).build_generator()
    assert network.decoder.body[0].out_features == 64
    assert network.encoder.classify.out_features == 2 * network.z_dim
