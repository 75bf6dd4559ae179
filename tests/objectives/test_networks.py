"""The objectives of translation on the networks they are made for, small ones."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from lgan.networks.modes import frozen
from lgan.objectives.adversarial import BinaryCrossEntropy, LeastSquares
from lgan.objectives.bicyclegan import BicycleGAN
from lgan.objectives.cyclegan import CycleGAN
from lgan.objectives.pix2pix import Pix2Pix
from lgan.objectives.translation import Translation
from lgan.seeding import Noise

bicycle = pytest.importorskip("lgan.networks.bicycle", reason="no networks of BicycleGAN")
composite = pytest.importorskip("lgan.networks.composite", reason="no composite networks")
patchgan = pytest.importorskip("lgan.networks.patchgan", reason="no PatchGAN")
unet = pytest.importorskip("lgan.networks.unet", reason="no U-Net")

SHAPE = (3, 64, 64)
Players = tuple[Translation, nn.Module, nn.Module]


def pix2pix() -> Players:
    generator = unet.UnetGenerator(SHAPE, 1, ngf=4, downs=6)
    return Pix2Pix(BinaryCrossEntropy()), generator, patchgan.PatchGAN(SHAPE, 1, ndf=4)


def cyclegan() -> Players:
    translator = partial(unet.UnetGenerator, ngf=4, downs=6)
    patch = partial(patchgan.PatchGAN, ndf=4, conditional=False, norm="instance")
    generator = composite.CycleGenerator(SHAPE, 1, translator)
    discriminator = composite.CycleDiscriminator(SHAPE, 1, patch)
    return CycleGAN(LeastSquares(1.0)), generator, discriminator


def bicyclegan() -> Players:
    translator = partial(bicycle.BicycleUnet, ngf=4, downs=6)
    encoder = partial(bicycle.BicycleEncoder, ndf=4, blocks=3)
    patch = partial(bicycle.MultiScalePatchGAN, ndf=4, n_layers=2)
    generator = composite.BicycleGenerator(SHAPE, 1, translator, encoder)
    discriminator = composite.BicycleDiscriminator(SHAPE, 1, patch)
    return BicycleGAN(LeastSquares(1.0)), generator, discriminator


@pytest.mark.parametrize("make", [pix2pix, cyclegan, bicyclegan])
def test_steps_train_every_parameter_of_the_player_and_no_other(make) -> None:
    torch.manual_seed(0)
    objective, generator, discriminator = make()
    objective.check(generator, discriminator)
    players = {"generator": generator, "discriminator": discriminator}
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    batch = {"x": x, "z": x.flip(3), "y": torch.zeros(2, dtype=torch.int64)}
    turns = 0
    for player, prepared in objective.schedule(generator, [batch], Noise(0)):
        other = next(network for name, network in players.items() if name != player)
        with frozen([other]):
            loss = getattr(objective, f"{player}_loss")
            loss(generator, discriminator, prepared, Noise(0)).backward()
        assert all(p.grad is not None for p in players[player].parameters())
        assert all(p.grad is None for p in other.parameters())
        players[player].zero_grad()
        turns += 1
    assert turns == 2
