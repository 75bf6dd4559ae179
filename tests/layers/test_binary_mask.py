"""Masks of a frozen network: threshold, gradient by hand, bits, what old tasks draw."""

from __future__ import annotations

import pytest
import torch
from lifelong_generators import NETWORKS, assert_draws, inputs, reloaded, train, train_tasks
from torch import nn

from lgan.layers.binary_mask import (
    BinaryMaskLayer,
    BinaryMaskSettings,
    MaskedTranslator,
    signs,
)
from lgan.networks.unet import UnetGenerator

every_network = pytest.mark.parametrize("kind", NETWORKS)


def linear(**settings):
    """A layer with weights 2, -3, 4 and bias 1, in its second task."""
    plain = nn.Linear(3, 1)
    with torch.no_grad():
        plain.weight.copy_(torch.tensor([[2.0, -3.0, 4.0]]))
        plain.bias.fill_(1.0)
    layer = BinaryMaskLayer(plain, BinaryMaskSettings(**settings))
    layer.commit()
    layer.add_task()
    return layer


def test_threshold_is_not_on_itself() -> None:
    m = torch.tensor([-1e-3, 0.0, 5e-3, 5.1e-3], dtype=torch.float64)
    assert signs(m, 5e-3, ternary=False).tolist() == [0, 0, 0, 1]
    assert signs(m, 5e-3, ternary=True).tolist() == [-1, 0, 0, 1]


def test_starts_with_all_weights_on() -> None:
    layer = linear()
    assert torch.equal(layer.mask, torch.full((1, 3), 1e-2))
    assert torch.equal(layer.weight_of(1), layer.weight)


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ("none", [10.0, -21.0, 44.0]),  # x * w
        ("weight", [5.0, -7.0, 11.0]),  # x * w / |w|
        ("layer", [10 / 3, -7.0, 44 / 3]),  # mean |w| = 3
    ],
)
def test_gradient_passes_straight_through(scaling, expected) -> None:
    """Also where the mask is off: dL/dm = dL/dW * w, and x (5, 7, 11) is dL/dW."""
    layer = linear(scaling=scaling)
    with torch.no_grad():
        layer.mask[0, 1] = 0.0
    y = layer(torch.tensor([[5.0, 7.0, 11.0]]))
    assert y.item() == 2 * 5 + 4 * 11 + 1
    y.backward()
    assert layer.mask.grad[0].tolist() == pytest.approx(expected)
    assert [name for name, _ in layer.named_parameters()] == ["mask"]


def test_ternary_flips_signs_and_is_packed_twice() -> None:
    layer = linear(ternary=True)
    with torch.no_grad():
        layer.mask.copy_(torch.tensor([[-0.1, 0.004, 0.1]]))
    x = torch.tensor([[5.0, 7.0, 11.0]])
    assert layer(x).item() == -2 * 5 + 4 * 11 + 1
    layer.commit()
    assert layer.bits1.tolist() == [0b100] and layer.flips1.tolist() == [0b001]
    assert layer(x).item() == layer.bake(1)(x).item() == 35
    assert layer.numbers_of(1) == {"bits": 6}


def test_bits_take_an_eighth_of_a_byte() -> None:
    layer = BinaryMaskLayer(nn.Conv2d(3, 5, 3), BinaryMaskSettings())
    layer.commit()
    layer.add_task()
    with torch.no_grad():
        layer.mask[::2] = -1.0
    before = layer.weight_of(1).clone()
    layer.commit()
    assert layer.bits1.dtype == torch.uint8 and len(layer.bits1) == 17  # 135 bits
    assert layer.mask is None and torch.equal(layer.weight_of(1), before)
    assert layer.numbers_of(0) == {"weight": 135, "bias": 5}


def test_bits_of_the_paper_unet() -> None:
    """54,397,952 bits, 6.8 MB (papers/piggyback_gan.md, section 5)."""
    with torch.device("meta"):
        plain = UnetGenerator((3, 256, 256), 1)
        generator = MaskedTranslator(plain, BinaryMaskSettings())
        generator.add_task()
        generator.commit()
        generator.add_task()
    assert generator.numbers_of(1)["bits"] == 54_397_952
    assert generator.numbers_of(1)["last"] == 6_144


def make(kind, **settings):
    torch.manual_seed(0)
    return MaskedTranslator(NETWORKS[kind](), BinaryMaskSettings(**settings))


@every_network
@pytest.mark.parametrize("norms", ["task", "frozen"])
@pytest.mark.parametrize("ternary", [False, True])
def test_old_tasks_keep_their_bits_also_when_loaded(kind, norms, ternary) -> None:
    generator = make(kind, norms=norms, ternary=ternary)
    kept = train_tasks(generator, kind)
    assert not torch.equal(kept[0], kept[1]) and not torch.equal(kept[1], kept[2])
    assert_draws(reloaded(make(kind, norms=norms, ternary=ternary), generator), kind, kept)
    layers = [m for m in generator.modules() if isinstance(m, BinaryMaskLayer)]
    assert any((layer.signs_of(1) != 1).any() for layer in layers)  # the masks did move
    each = sum(-(-layer.weight.numel() // 8) for layer in layers)
    packed = [b for k, b in generator.named_buffers() if ".bits" in k or ".flips" in k]
    assert sum(b.numel() for b in packed) == 2 * each * (1 + ternary)


@every_network
def test_second_task_starts_as_the_first(kind) -> None:
    generator = make(kind)
    generator.add_task()
    train(generator, kind, 0)
    generator.add_task()
    assert torch.equal(generator.bake(1)(*inputs(kind)), generator.bake(0)(*inputs(kind)))
