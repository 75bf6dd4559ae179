from __future__ import annotations

import math

import pytest
import torch
from counting import count_parameters
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn

from lgan.cli.common import config_path
from lgan.errors import ConfigError
from lgan.networks.chain import chain_of
from lgan.networks.dgm import DGMDiscriminator, DGMGenerator, label_noise, smallest_side
from lgan.networks.dgm_resnet import DGMResNetDiscriminator, DGMResNetGenerator
from lgan.networks.heads import ClassHead, SharedHead

GREY32, RGB32, RGB64, DIGIT = (1, 32, 32), (3, 32, 32), (3, 64, 64), (1, 8, 8)
SHAPES = {
    "cifar10": RGB32,
    "digits": DIGIT,
    "fashion_mnist": GREY32,
    "image_folder": RGB32,
    "imagenet50": RGB32,
    "lsun": RGB64,
    "mnist": GREY32,
    "svhn": RGB32,
}
PARTS = ("conv1", "conv2", "shortcut")
SMALL = {
    "dcgan": lambda **knobs: DGMGenerator(RGB32, 4, **{"width": 2, "z_dim": 8} | knobs),
    "resnet": lambda **knobs: DGMResNetGenerator(RGB32, 4, **{"width": 4, "z_dim": 8} | knobs),
}
each_kind = pytest.mark.parametrize("kind", SMALL)


def maskable(generator: nn.Module) -> dict[str, int]:
    """Return the weights of each layer of the chain."""
    links = chain_of(generator).links
    return {link.layer: count_parameters(generator.get_submodule(link.layer)) for link in links}


@pytest.mark.parametrize(
    ("width", "layers", "heads"),
    [(6, [49_152, 4_608, 1_152], (96, 288)), (20, [163_840, 51_200, 12_800], (320, 960))],
)
def test_digit_generators_count_as_the_official_ones(
    width: int, layers: list[int], heads: tuple[int, int]
) -> None:
    for shape, head in zip((GREY32, RGB32), heads, strict=True):
        generator = DGMGenerator(shape, 10, width=width)
        assert list(maskable(generator).values()) == layers
        assert sum(layers) == {6: 54_912, 20: 227_840}[width]
        assert count_parameters(generator.head) == head
        norms = 2 * (4 + 2 + 1) * width
        assert count_parameters(generator) == sum(layers) + norms + head
        per_class = DGMGenerator(shape, 10, width=width, head_per="class")
        assert count_parameters(per_class.head) == 10 * head


@pytest.mark.parametrize(
    ("shape", "classes", "expected"),
    [(GREY32, 1, 261_282), (RGB32, 1, 262_882), (GREY32, 10, 279_723), (RGB32, 10, 281_323)],
)
def test_digit_discriminators_count_as_the_official_ones(shape, classes, expected) -> None:
    assert count_parameters(DGMDiscriminator(shape, classes)) == expected
    assert count_parameters(DGMDiscriminator(shape, classes + 1)) == expected + 2_049


def test_the_resnet_generator_counts_as_the_official_one() -> None:
    generator = DGMResNetGenerator(RGB32, 50, label_length=100)
    sizes = maskable(generator)
    assert sizes.pop("project") == 131_072
    parts = {part: [n for name, n in sizes.items() if name.endswith(part)] for part in PARTS}
    assert parts == {"conv1": [36_864] * 3, "conv2": [36_864] * 3, "shortcut": [4_096] * 3}
    allocated = sum(maskable(generator).values())
    assert (allocated, allocated - 3 * 4_096) == (364_544, 352_256)
    assert count_parameters(generator.head) == 50 * 1_731
    assert count_parameters(generator) == 364_544 + 7 * 2 * 64 + 50 * 1_731
    assert count_parameters(DGMResNetGenerator(RGB32, 50, head_per="task").head) == 1_731


def test_the_resnet_discriminator_counts_as_the_official_one() -> None:
    plain, biased = (DGMResNetDiscriminator(RGB32, 10, aux_bias=bias) for bias in (False, True))
    assert (count_parameters(plain), count_parameters(biased)) == (12_246_081, 12_246_091)
    assert plain.classify.weight.shape == (10, 2048)
    assert plain.score.weight.shape == (1, 2048)
    score, logits = plain(torch.rand(2, *RGB32) * 2 - 1)
    assert (score.shape, logits.shape) == ((2,), (2, 10))
    # 3x3 stem, no pooling behind it, three halvings: 4x4 maps before the average.
    maps = []
    plain.trunk[0].layer4.register_forward_hook(lambda *call: maps.append(call[2].shape))
    plain(torch.zeros(2, *RGB32))
    assert maps == [(2, 512, 4, 4)]


def test_gradient_penalty_goes_through_the_resnet_discriminator() -> None:
    discriminator = DGMResNetDiscriminator(RGB32, 2, features=8)
    x = torch.rand(2, *RGB32, requires_grad=True)
    (slope,) = torch.autograd.grad(discriminator(x)[0].sum(), x, create_graph=True)
    (slope.flatten(1).norm(dim=1) - 1).square().mean().backward()
    stem = discriminator.trunk[0].conv1.weight.grad
    assert torch.isfinite(stem).all() and torch.count_nonzero(stem) > 0


def test_the_class_overwrites_the_first_noise_entries() -> None:
    z = torch.tensor([[5.0, 6, 7, 8], [1, 2, 3, 4]])
    out = label_noise(z, torch.tensor([2, 0]), 3)
    assert out.tolist() == [[0, 0, 1, 8], [1, 0, 0, 4]]


def test_a_class_beside_the_noise_leaves_all_of_it() -> None:
    z = torch.tensor([[5.0, 6, 7], [1, 2, 3]])
    out = label_noise(z, torch.tensor([2, 0]), 4, beside=True)
    assert out.tolist() == [[0, 0, 1, 0, 5, 6, 7], [1, 0, 0, 0, 1, 2, 3]]


@pytest.mark.parametrize("kind", ["dcgan", "resnet"])
@pytest.mark.parametrize(
    ("labels", "z_dim", "inputs"),
    [("auto", 8, 8), ("auto", 7, 11), ("auto", 3, 7), ("overwrite", 7, 7), ("beside", 8, 12)],
)
def test_auto_puts_the_class_beside_the_noise_if_it_would_take_over_half(
    kind: str, labels: str, z_dim: int, inputs: int
) -> None:
    """Four classes; every noise entry counts where they stand beside it."""
    generator = SMALL[kind](labels=labels, z_dim=z_dim).eval()
    read = generator.project.weight.shape[1 if kind == "resnet" else 0]
    assert (read, generator.z_dim) == (inputs, z_dim)
    z, y = torch.randn(1, z_dim), torch.tensor([3])
    images = generator(z, y)
    for entry in range(z_dim):
        moved = z.clone()
        moved[:, entry] += 1
        differs = not torch.equal(generator(moved, y), images)
        assert differs is (inputs > z_dim or entry >= 4)


def test_over_half_of_the_noise_is_overwritten_with_a_warning_only(capsys) -> None:
    for _ in range(2):
        SMALL["dcgan"](z_dim=6)
    assert capsys.readouterr().err.count("4 of network.generator.z_dim=6") == 1


@pytest.mark.parametrize(
    ("length", "expected"), [(None, 4), (6, 6)], ids=["as many as classes", "longer"]
)
def test_only_the_noise_behind_the_label_matters(length: int | None, expected: int) -> None:
    generator = SMALL["resnet"](label_length=length).eval()
    z, y = torch.randn(2, 8), torch.tensor([1, 3])
    images = generator(z, y)
    before, behind = z.clone(), z.clone()
    before[:, :expected] += 1
    behind[:, expected] += 1
    assert torch.equal(generator(before, y), images)
    assert not torch.allclose(generator(behind, y), images, atol=1e-4)


@each_kind
@pytest.mark.parametrize("per", ["class", "task"])
def test_generators_give_images_in_range(kind: str, per: str) -> None:
    torch.manual_seed(0)
    generator = SMALL[kind](head_per=per)
    images = generator(torch.randn(6, 8), torch.tensor([0, 1, 2, 3, 3, 0]))
    assert images.shape == (6, *RGB32)
    assert images.abs().max() <= 1
    assert images.std() > 0.01
    assert isinstance(generator.head, ClassHead if per == "class" else SharedHead)


@pytest.mark.parametrize("kind", ["dcgan", "resnet"])
def test_a_class_head_picks_each_samples_convolution(kind: str) -> None:
    layer = (
        nn.Conv2d(5, 2 * 3, 3, padding=1)
        if kind == "resnet"
        else nn.ConvTranspose2d(5, 2 * 3, 4, stride=2, padding=1)
    )
    head = ClassHead(layer, [7, 2, 5], 9)
    x, y = torch.randn(6, 5, 4, 4), torch.tensor([2, 7, 5, 5, 7, 2])
    images = head(x, y)
    for row, label in enumerate(y.tolist()):
        place = [7, 2, 5].index(label)
        own = slice(2 * place, 2 * place + 2)
        if isinstance(layer, nn.Conv2d):
            alone = nn.functional.conv2d(
                x[row : row + 1], layer.weight[own], layer.bias[own], padding=1
            )
        else:
            alone = nn.functional.conv_transpose2d(
                x[row : row + 1], layer.weight[:, own], layer.bias[own], stride=2, padding=1
            )
        torch.testing.assert_close(images[row : row + 1], alone)


@each_kind
@pytest.mark.parametrize("per", ["class", "task"])
def test_fresh_heads_fit_other_widths_and_classes(kind: str, per: str) -> None:
    old = SMALL[kind](head_per=per).head
    head = old.fresh(11, [1, 3])
    per_class = count_parameters(old.fresh(11, [2]))
    assert count_parameters(head) == (2 if per == "class" else 1) * per_class
    side = 32 if kind == "resnet" else 16
    assert head(torch.randn(3, 11, side, side), torch.tensor([3, 1, 1])).shape == (3, *RGB32)


@each_kind
def test_chains_name_layers_that_fit_together(kind: str) -> None:
    generator = SMALL[kind]()
    chain = chain_of(generator)
    widths: dict[str | None, int] = {None: 8}
    for link in chain.links:
        layer = generator.get_submodule(link.layer)
        turned = isinstance(layer, nn.ConvTranspose2d)
        inputs, outputs = (0, 1) if turned else (1, 0)
        assert layer.bias is None
        assert layer.weight.shape[inputs] == widths[link.source]
        made = layer.weight.shape[outputs] // link.per_unit
        assert widths.setdefault(link.units, made) == made
    for name, units in chain.norms.items():
        assert generator.get_submodule(name).num_features == widths[units]
    norms = {n for n, m in generator.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert set(chain.norms) == norms
    identities = {n for n, m in generator.named_modules() if isinstance(m, nn.Identity)}
    assert set(chain.identities) == identities
    convolution = generator.get_submodule(chain.head).convolution
    inputs = 0 if isinstance(convolution, nn.ConvTranspose2d) else 1
    assert convolution.weight.shape[inputs] == widths[chain.head_source]


def test_skips_are_declared() -> None:
    chain = chain_of(SMALL["resnet"]())
    assert chain.units == ("stem", "h0", "x0", "h1", "x1", "h2", "x2")
    made = [(link.layer, link.source) for link in chain.links if link.units == "x1"]
    assert made == [("blocks.1.conv2", "h1"), ("blocks.1.shortcut", "x0")]
    assert chain.identities == {
        f"blocks.{i}.identity": u for i, u in enumerate(("stem", "x0", "x1"))
    }
    assert chain.links[0].per_unit == 16


class Wrapped(nn.Module):
    """A layer that hides its attributes, as a masked one does."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.inside, self.calls = layer, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.inside(x)


def test_the_shortcuts_convolution_acts_only_once_widths_differ() -> None:
    torch.manual_seed(0)
    generator = SMALL["resnet"]().eval()
    z, y = torch.randn(2, 8), torch.tensor([0, 3])
    before = generator(z, y)
    middle = generator.blocks[1]
    nn.init.constant_(middle.shortcut.weight, 100.0)
    assert torch.equal(generator(z, y), before), "equal widths: the identity"
    # Two more units behind the second block, for all that make and read them.
    middle.conv2 = Wrapped(nn.Conv2d(4, 6, 3, padding=1, bias=False))
    middle.shortcut = Wrapped(nn.Conv2d(4, 6, 1, bias=False))
    last = generator.blocks[2]
    last.norm1, last.conv1 = nn.BatchNorm2d(6), nn.Conv2d(6, 4, 3, padding=1, bias=False)
    last.shortcut = nn.Conv2d(6, 4, 1, bias=False)
    assert generator.eval()(z, y).shape == (2, *RGB32)
    assert (middle.conv2.calls, middle.shortcut.calls) == (1, 1)


def test_the_block_by_hand() -> None:
    torch.manual_seed(0)
    block = SMALL["resnet"]().blocks[0]
    x = torch.randn(3, 4, 4, 4)
    up = nn.Upsample(scale_factor=2, mode="nearest")
    hidden = block.conv1(up(torch.relu(block.norm1(x))))
    main = block.conv2(torch.relu(block.norm2(hidden)))
    torch.testing.assert_close(block(x), up(x) + main)
    block.conv2 = nn.Conv2d(4, 5, 3, padding=1, bias=False)
    block.shortcut = nn.Conv2d(4, 5, 1, bias=False)
    main = block.conv2(torch.relu(block.norm2(hidden)))
    torch.testing.assert_close(block(x), block.shortcut(up(x)) + main)


def test_first_weights() -> None:
    torch.manual_seed(0)
    xavier, normal = (
        DGMResNetGenerator(RGB32, 4, width=32, init=how) for how in ("xavier", "normal")
    )
    # Xavier, gain sqrt 2: variance 4 / (fan in + fan out).
    for layer, fans in ((xavier.project, 128 + 512), (xavier.blocks[0].conv1, 9 * 64)):
        assert layer.weight.std().item() == pytest.approx(math.sqrt(4 / fans), rel=0.05)
        assert layer.weight.abs().max() <= math.sqrt(12 / fans)
    assert normal.blocks[2].conv2.weight.std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DGMResNetGenerator(RGB32, 10, z_dim=10), "z_dim=10 must exceed .*labels=beside"),
        (lambda: DGMResNetGenerator(RGB32, 10, label_length=9), "label_length=9 must be at least"),
        (lambda: DGMResNetGenerator((3, 28, 28), 10), "28x28 are not 4 "),
        (lambda: DGMResNetGenerator((3, 32, 64), 10), "32x64 are not 4 "),
        (lambda: DGMGenerator(DIGIT, 10, base_side=4), r"8x8 are not 4 \* 2\^k"),
        (lambda: DGMGenerator(RGB32, 10, z_dim=10), "z_dim=10 must exceed"),
        (lambda: chain_of(nn.Linear(1, 1)), "Linear declares no chain"),
    ],
)
def test_wrong_settings_are_refused(build, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()


def built(*overrides: str) -> tuple[DictConfig, nn.Module, nn.Module]:
    """Return a config and its generator and discriminator for four classes."""
    with initialize_config_dir(config_path(), version_base="1.3"):
        config = compose("train", list(overrides))
    shape = SHAPES[config.data.name]
    pair = (config.network.generator, config.network.discriminator)
    return config, *(instantiate(part)(shape, 4) for part in pair)


@pytest.mark.parametrize("method", ["dgm_w", "dgm_a"])
@pytest.mark.parametrize("name", SHAPES)
def test_the_pair_of_a_data_set_plays_together(name: str, method: str) -> None:
    width = "network.generator.width=3"
    config, generator, discriminator = built(f"data={name}", f"method={method}", width)
    assert config.network.name == method
    with torch.no_grad():
        images = generator(torch.randn(4, generator.z_dim), torch.arange(4))
        score, logits = discriminator(images)
    assert images.shape == (4, *SHAPES[name])
    assert (score.shape, logits.shape) == ((4,), (4, 4))


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 28, 28), (3, 96, 96)])
def test_the_networks_fit_pictures_of_other_sides(shape: tuple[int, int, int]) -> None:
    generator, discriminator = DGMGenerator(shape, 4, width=2), DGMDiscriminator(shape, 4, width=2)
    images = generator(torch.randn(4, generator.z_dim), torch.arange(4))
    assert images.shape == (4, *shape)
    assert discriminator(images)[1].shape == (4, 4)


@pytest.mark.parametrize(
    ("side", "smallest"), [(8, 2), (16, 4), (28, 7), (32, 4), (64, 4), (96, 6)]
)
def test_the_side_of_the_first_maps(side: int, smallest: int) -> None:
    assert smallest_side((1, side, side)) == smallest


def test_a_network_that_is_named_is_the_one_that_is_built() -> None:
    """The recipe's ResNet is the method's own choice, and gives way to the command line's."""
    config, generator, _ = built("data=cifar10", "method=dgm_a", "network=dgm_dcgan")
    assert isinstance(generator, DGMGenerator) and config.network.name == "dgm_dcgan"
    config, generator, _ = built("data=mnist", "method=dgm_w", "network=dgm_resnet")
    assert isinstance(generator, DGMResNetGenerator) and config.network.generator.width == 64


@pytest.mark.parametrize(
    ("name", "method", "masked"),
    [
        ("mnist", "dgm_w", 54_912),
        ("mnist", "dgm_a", 227_840),
        ("svhn", "dgm_w", 54_912),
        ("cifar10", "dgm_w", 364_544),
        ("imagenet50", "dgm_w", 364_544),
    ],
)
def test_the_methods_width_is_the_papers(name: str, method: str, masked: int) -> None:
    assert sum(maskable(built(f"data={name}", f"method={method}")[1]).values()) == masked
