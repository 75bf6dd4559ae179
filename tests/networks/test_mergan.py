from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from counting import count_parameters
from torch import nn

from lgan.errors import ConfigError
from lgan.networks.dcgan import Mergan32Discriminator, Mergan32Generator
from lgan.networks.init import fans
from lgan.networks.mlp import MLPDiscriminator, MLPGenerator
from lgan.networks.norm import ClassBatchNorm2d
from lgan.networks.resnet import Mergan64Discriminator, Mergan64Generator

GREY32, RGB32, RGB64, DIGIT = (1, 32, 32), (3, 32, 32), (3, 64, 64), (1, 8, 8)
SMALL64 = partial(Mergan64Generator, width=8)

GENERATORS = {
    "mergan32-grey": (Mergan32Generator, GREY32),
    "mergan32-rgb": (Mergan32Generator, RGB32),
    "mergan64-concat": (SMALL64, RGB64),
    "mergan64-cbn": (partial(SMALL64, conditioning="cbn"), RGB64),
    "mlp": (MLPGenerator, DIGIT),
}
DISCRIMINATORS = {
    "mergan32": (Mergan32Discriminator, RGB32),
    "mergan64": (partial(Mergan64Discriminator, width=8), RGB64),
    "mlp": (MLPDiscriminator, DIGIT),
}
each_generator = pytest.mark.parametrize("name", GENERATORS)
each_discriminator = pytest.mark.parametrize("name", DISCRIMINATORS)


def build_generator(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    torch.manual_seed(0)
    factory, shape = GENERATORS[name]
    return factory(shape, 10), shape


def build_discriminator(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    torch.manual_seed(0)
    factory, shape = DISCRIMINATORS[name]
    return factory(shape, 10), shape


@pytest.mark.parametrize(
    ("network", "shape", "expected"),
    [
        (Mergan32Generator, GREY32, 525_569),
        (Mergan32Generator, RGB32, 527_171),
        (Mergan32Discriminator, GREY32, 279_563),
        (Mergan32Discriminator, RGB32, 281_163),
        (Mergan64Generator, RGB64, 8_622_403),
        (Mergan64Discriminator, RGB64, 7_573_771),
    ],
)
def test_parameter_counts_are_those_of_the_official_code(network, shape, expected) -> None:
    assert count_parameters(network(shape, 10)) == expected


def test_a_class_costs_448_parameters_in_the_norms() -> None:
    norms = [m for m in Mergan32Generator(GREY32, 10).modules() if isinstance(m, ClassBatchNorm2d)]
    assert sum(map(count_parameters, norms)) == 4480
    grown = count_parameters(Mergan32Generator(GREY32, 11))
    assert grown - count_parameters(Mergan32Generator(GREY32, 10)) == 448


def test_cbn_spares_the_one_hot_and_pays_in_the_norms() -> None:
    concat, cbn = SMALL64(RGB64, 10), SMALL64(RGB64, 10, conditioning="cbn")
    assert concat.project.in_features == 138
    assert cbn.project.in_features == 128
    assert cbn.norm.scale.shape == (10, 8)
    assert concat.norm.scale.shape == (8,)


@each_generator
def test_generators_give_images_in_range(name: str) -> None:
    generator, shape = build_generator(name)
    images = generator(torch.randn(6, generator.z_dim), torch.arange(6))
    assert images.shape == (6, *shape)
    assert images.abs().max() <= 1
    assert images.std() > 0.01
    assert generator.num_classes == 10


@each_generator
def test_the_class_matters_after_the_tables_moved(name: str) -> None:
    generator, _ = build_generator(name)
    for module in generator.modules():
        if isinstance(module, ClassBatchNorm2d):
            nn.init.normal_(module.scale)
    z = torch.randn(4, generator.z_dim)
    zero, three = torch.zeros(4, dtype=torch.int64), torch.full((4,), 3)
    assert not torch.allclose(generator(z, zero), generator(z, three), atol=1e-3)


@each_generator
def test_old_classes_do_not_see_the_rest_of_the_batch(name: str) -> None:
    generator, _ = build_generator(name)
    z, y = torch.randn(9, generator.z_dim), torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])
    with torch.no_grad():
        mixed = generator(z, y)
        for label in range(3):
            rows = y == label
            # Sums over other batch sizes are ordered differently; nothing else differs.
            torch.testing.assert_close(mixed[rows], generator(z[rows], y[rows]), atol=1e-5, rtol=0)


def test_batch_statistics_mix_the_classes() -> None:
    torch.manual_seed(0)
    generator = Mergan32Generator(GREY32, 10, statistics="batch")
    z, y = torch.randn(6, 128), torch.tensor([0, 0, 0, 1, 1, 1])
    assert not torch.allclose(generator(z, y)[:3], generator(z[:3], y[:3]), atol=1e-3)


def test_generators_are_deterministic() -> None:
    generator, _ = build_generator("mergan32-grey")
    z, y = torch.randn(8, 128), torch.arange(8) % 3
    assert torch.equal(generator(z, y), generator(z, y))


@pytest.mark.parametrize("name", ["mergan32-grey", "mergan64-cbn"])
def test_class_tables_of_unused_classes_get_zero_gradient(name: str) -> None:
    generator, _ = build_generator(name)
    images = generator(torch.randn(4, 128), torch.tensor([2, 2, 7, 7]))
    (images * torch.randn_like(images)).sum().backward()
    unused = [0, 1, 3, 4, 5, 6, 8, 9]
    for module in generator.modules():
        if isinstance(module, ClassBatchNorm2d):
            for table in (module.scale, module.offset):
                assert torch.count_nonzero(table.grad[unused]) == 0
                assert torch.count_nonzero(table.grad[[2, 7]]) > 0


@each_discriminator
def test_discriminators_score_and_classify(name: str) -> None:
    discriminator, shape = build_discriminator(name)
    score, logits = discriminator(torch.rand(3, *shape) * 2 - 1)
    assert score.shape == (3,)
    assert logits.shape == (3, 10)
    alone = discriminator(torch.ones(1, *shape))[0]
    assert alone.shape == (1,)


@each_discriminator
def test_gradient_penalty_reaches_every_weight_behind_the_score(name: str) -> None:
    discriminator, shape = build_discriminator(name)
    x = torch.randn(3, *shape, requires_grad=True)
    (slope,) = torch.autograd.grad(discriminator(x)[0].sum(), x, create_graph=True)
    (slope.flatten(1).norm(dim=1) - 1).square().mean().backward()
    for key, parameter in discriminator.named_parameters():
        if key.endswith("weight") and not key.startswith("classify"):
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key
            assert torch.count_nonzero(parameter.grad) > 0, key


@each_discriminator
def test_double_backward_agrees_with_finite_differences(name: str) -> None:
    discriminator, shape = build_discriminator(name)
    discriminator.double()
    x = torch.randn(2, *shape, dtype=torch.float64)
    weight = discriminator.score.weight

    def penalty() -> torch.Tensor:
        leaf = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(discriminator(leaf)[0].sum(), leaf, create_graph=True)
        return slope.square().sum()

    (gradient,) = torch.autograd.grad(penalty(), weight)
    direction = torch.randn_like(weight)
    step = 1e-5
    with torch.no_grad():
        weight += step * direction
    above = penalty().item()
    with torch.no_grad():
        weight -= 2 * step * direction
    numeric = (above - penalty().item()) / (2 * step)
    assert math.isclose(numeric, (gradient * direction).sum().item(), rel_tol=1e-4)


def bound_of(layer: nn.Module, gain: float) -> float:
    return math.sqrt(3) * math.sqrt(2 * gain / sum(fans(layer)))


def test_fans_follow_the_stride() -> None:
    assert fans(nn.Conv2d(32, 64, 5, stride=2)) == (800, 400)
    assert fans(nn.ConvTranspose2d(64, 32, 5, stride=2)) == (400, 800)
    assert fans(nn.Conv2d(16, 8, 3)) == (144, 72)


def assert_uniform(weight: torch.Tensor, bound: float) -> None:
    assert weight.abs().max() <= bound
    assert weight.abs().max() > 0.98 * bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert abs(weight.mean().item()) < 0.05 * bound


def test_initial_weights_of_the_32_pixel_networks() -> None:
    generator, _ = build_generator("mergan32-rgb")
    discriminator, _ = build_discriminator("mergan32")
    # Deconvolution 128 -> 64: fans 128 * 25 / 4 = 800 and 64 * 25 = 1600.
    bound = math.sqrt(3) * math.sqrt(4 / (800 + 1600))
    assert_uniform(generator.deconvolutions[0].weight, bound)
    # Convolution 32 -> 64: fans 32 * 25 = 800 and 64 * 25 / 4 = 400.
    assert_uniform(discriminator.trunk[2].weight, math.sqrt(3) * math.sqrt(4 / (800 + 400)))
    assert_uniform(generator.project.weight, math.sqrt(6 / (128 + 2048)))
    assert_uniform(discriminator.classify.weight, math.sqrt(6 / (2048 + 10)))
    for layer in (*generator.modules(), *discriminator.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            assert torch.count_nonzero(layer.bias) == 0


def test_initial_weights_of_the_64_pixel_networks() -> None:
    torch.manual_seed(0)
    generator, discriminator = SMALL64(RGB64, 10), Mergan64Discriminator(RGB64, 10, width=16)
    block = generator.blocks[0]
    assert_uniform(block.conv1.weight, bound_of(block.conv1, gain=2))
    assert_uniform(block.shortcut.weight, bound_of(block.shortcut, gain=1))
    entry = discriminator.trunk[0]
    assert_uniform(entry.weight, math.sqrt(3) * math.sqrt(2 / (27 + 16 * 9)))
    assert block.conv1.bias is None
    assert block.conv2.bias is not None


def test_the_cheap_shortcut_equals_the_one_of_the_code() -> None:
    generator, _ = build_generator("mergan64-concat")
    shortcut, x = generator.blocks[0].shortcut, torch.randn(2, 64, 4, 4)
    upsample = nn.Upsample(scale_factor=2)
    torch.testing.assert_close(upsample(shortcut(x)), shortcut(upsample(x)))


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        (Mergan32Generator, (1, 28, 28), "mergan32 is made for 32x32 .* 28x28"),
        (Mergan32Discriminator, (1, 32, 28), "mergan32 is made for 32x32 .* 32x28"),
        (Mergan64Generator, RGB32, "mergan64 is made for 64x64 .* 32x32"),
        (Mergan64Discriminator, RGB32, "resize the data to 64"),
    ],
)
def test_wrong_settings_are_refused(network, shape, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        network(shape, 10)
