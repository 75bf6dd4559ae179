from __future__ import annotations

from functools import partial

import pytest
import torch
from counting import count_parameters
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from lgan.cli.common import config_path
from lgan.errors import ConfigError
from lgan.layers.per_task import last_layers_of
from lgan.networks.bicycle import BicycleEncoder, BicycleUnet, MultiScalePatchGAN
from lgan.networks.composite import (
    BicycleDiscriminator,
    BicycleGenerator,
    CycleDiscriminator,
    CycleGenerator,
)
from lgan.networks.patchgan import PatchGAN
from lgan.networks.resnet_translator import ResnetBlock, ResnetTranslator
from lgan.networks.roles import Translator
from lgan.networks.translation import from_netg, init_normal, to_netg
from lgan.networks.unet import UnetGenerator

RGB256, SMALL = (3, 256, 256), (3, 32, 32)
SIDES = {8: 256, 7: 128, 6: 64}


def count(network, *arguments, **knobs) -> int:
    """Count the parameters of a network without filling them."""
    with torch.device("meta"):
        return count_parameters(network(*arguments, **knobs))


def small_unet(**knobs) -> UnetGenerator:
    return UnetGenerator(SMALL, 1, ngf=2, downs=5, **knobs)


def small_resnet(**knobs) -> ResnetTranslator:
    return ResnetTranslator(SMALL, 1, ngf=2, blocks=2, **knobs)


def small_bicycle(shape=SMALL, num_classes=1, **knobs) -> BicycleUnet:
    return BicycleUnet(shape, num_classes, ngf=2, downs=5, **knobs)


@pytest.mark.parametrize(
    ("downs", "biased", "bias_free", "instance"),
    [
        (8, 54_419_459, 54_413_955, 54_409_603),
        (7, 41_833_475, 41_828_995, 41_825_667),
        (6, 29_247_491, 29_244_035, 29_241_731),
    ],
)
def test_unets_count_as_pix2pix(downs, biased, bias_free, instance) -> None:
    shape = (3, SIDES[downs], SIDES[downs])
    assert count(UnetGenerator, shape, 1, downs=downs) == biased
    assert count(UnetGenerator, shape, 1, downs=downs, bias=False) == bias_free
    assert count(UnetGenerator, shape, 1, downs=downs, norm="instance") == instance


@pytest.mark.parametrize(
    ("ngf", "biased", "bias_free", "resnet"),
    [(32, 13_611_011, 13_608_259, 2_850_563), (16, 3_405_827, 3_404_451, 715_651)],
)
def test_half_and_quarter_widths_count_to_the_unit(ngf, biased, bias_free, resnet) -> None:
    assert count(UnetGenerator, RGB256, 1, ngf=ngf) == biased
    assert count(UnetGenerator, RGB256, 1, ngf=ngf, bias=False) == bias_free
    assert count(ResnetTranslator, RGB256, 1, ngf=ngf) == resnet


@pytest.mark.parametrize(("blocks", "expected"), [(9, 11_378_179), (6, 7_837_699)])
def test_resnets_count_as_cyclegan(blocks, expected) -> None:
    assert count(ResnetTranslator, RGB256, 1, blocks=blocks) == expected


def test_layers_count_to_the_unit() -> None:
    with torch.device("meta"):
        unet = UnetGenerator(RGB256, 1)
        resnet = ResnetTranslator(RGB256, 1)
    scales = [m for m in unet.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(scales) == 13
    assert sum(map(count_parameters, scales)) == 9_856
    convolutions = [m for m in unet.modules() if isinstance(m, nn.Conv2d)]
    assert [m.weight.numel() for m in convolutions] == [
        *(3_072, 131_072, 524_288, 2_097_152),
        *[4_194_304] * 4,
    ]
    ups = [m.weight.numel() for m in unet.modules() if isinstance(m, nn.ConvTranspose2d)]
    # `modules` walks from the outside in, and a block's submodule comes before its own up.
    assert ups == [4_194_304, *[8_388_608] * 3, 4_194_304, 1_048_576, 262_144, 6_144]
    plain = [m for m in resnet.model if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert [*map(count_parameters, plain)] == [9_472, 73_856, 295_168, 295_040, 73_792, 9_411]
    assert [count_parameters(m) for m in resnet.model if isinstance(m, ResnetBlock)] == [
        2 * 590_080
    ] * 9


def test_discriminators_count_as_pix2pix_and_cyclegan() -> None:
    assert count(PatchGAN, RGB256, 1) == 2_768_705
    assert count(PatchGAN, RGB256, 1, conditional=False) == 2_765_633
    assert count(PatchGAN, RGB256, 1, conditional=False, norm="instance") == 2_764_737


def test_bicyclegan_counts_as_its_code() -> None:
    assert count(BicycleUnet, RGB256, 1) == 54_794_627
    assert count(BicycleUnet, (3, 128, 128), 1, downs=7) == 42_145_155
    assert count(BicycleUnet, RGB256, 1, input_channels=1) == 54_792_579
    assert count(BicycleEncoder, RGB256) == 2_590_032
    assert count(BicycleEncoder, (3, 128, 128), blocks=4) == 1_344_080
    assert count(MultiScalePatchGAN, RGB256, 1) == 3_458_978 == 2_764_737 + 694_241
    assert count(MultiScalePatchGAN, RGB256, 1, n_layers=2) == 830_626 == 662_977 + 167_649
    assert count(BicycleDiscriminator, RGB256, 1, patch=MultiScalePatchGAN) == 6_917_956


def unet_key(level: int, layer: int | str) -> str:
    return "model.model." + ("1.model." + "3.model." * (level - 1) if level else "") + str(layer)


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_unet_keys_are_pix2pix_ones(norm) -> None:
    # Written out after the nesting of pix2pix's UnetSkipConnectionBlock.
    layers = [(0, 0), (0, 3), (4, 1), (4, 3)]
    layers += [(level, layer) for level in (1, 2, 3) for layer in (1, 5)]
    names = {unet_key(level, f"{layer}.{w}") for level, layer in layers for w in ("weight", "bias")}
    norms = [(4, 4)] + [(level, layer) for level in (1, 2, 3) for layer in (2, 6)]
    entries = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    if norm == "batch":
        names |= {unet_key(level, f"{layer}.{e}") for level, layer in norms for e in entries}
    assert "model.model.1.model.3.model.3.model.3.model.1.weight" in names
    assert set(small_unet(norm=norm).state_dict()) == names
    bias_free = {n for n in names if not n.endswith("bias") or n == "model.model.3.bias"}
    bias_free |= {unet_key(*n) + ".bias" for n in norms if norm == "batch"}
    assert set(small_unet(norm=norm, bias=False).state_dict()) == bias_free


def test_resnet_keys_are_cyclegan_ones() -> None:
    with torch.device("meta"):
        state = ResnetTranslator(RGB256, 1, ngf=4).state_dict()
    layers = ["model.1", "model.4", "model.7", "model.19", "model.22", "model.26"]
    layers += [f"model.{i}.conv_block.{j}" for i in range(10, 19) for j in (1, 5)]
    assert set(state) == {f"{layer}.{w}" for layer in layers for w in ("weight", "bias")}
    assert "model.10.conv_block.6.weight" in small_resnet(dropout=True).state_dict()


def test_bicycle_keys_are_its_code_s() -> None:
    keys = set(small_bicycle().state_dict())
    inner = "model." + "submodule." * 4
    for name in ("model.down.0", "model.up.1", "model.submodule.down.1", f"{inner}down.1"):
        assert {f"{name}.weight", f"{name}.bias"} <= keys
    assert len(keys) == 20
    encoder = set(BicycleEncoder(SMALL, ndf=2, blocks=3).state_dict())
    layers = ["fc.0", "fcVar.0", "conv.0"]
    layers += [f"conv.{i}.{part}" for i in (1, 2) for part in ("conv.2", "conv.5.0", "shortcut.1")]
    assert encoder == {f"{layer}.{w}" for layer in layers for w in ("weight", "bias")}
    multi = set(MultiScalePatchGAN(RGB256, 1, ndf=2).state_dict())
    places = [f"model{i}.{j}" for i in (0, 1) for j in (0, 2, 5, 8, 11)]
    assert multi == {f"{place}.{w}" for place in places for w in ("weight", "bias")}


def unet_by_hand(state: dict[str, Tensor], x: Tensor, level: int = 0) -> Tensor:
    """Compute a norm-free U-Net of five downs from its checkpoint, function by function."""

    def run(function, layer, value) -> Tensor:
        key = unet_key(level, layer)
        return function(value, state[f"{key}.weight"], state[f"{key}.bias"], stride=2, padding=1)

    if level == 0:
        inner = unet_by_hand(state, run(F.conv2d, 0, x), 1)
        return torch.tanh(run(F.conv_transpose2d, 3, inner.relu()))
    skip = F.leaky_relu(x, 0.2)
    inner = run(F.conv2d, 1, skip)
    if level < 4:
        inner = unet_by_hand(state, inner, level + 1)
    return torch.cat([skip, run(F.conv_transpose2d, 5 if level < 4 else 3, inner.relu())], 1)


def test_the_unet_computes_what_its_checkpoint_says() -> None:
    torch.manual_seed(0)
    unet = small_unet(norm="none").eval()
    init_normal(unet, std=0.3)
    pictures = torch.randn(2, 3, 32, 64)
    kept = pictures.clone()
    with torch.no_grad():
        images = unet(pictures)
        expected = unet_by_hand(unet.state_dict(), pictures)
    assert images.std() > 0.1
    torch.testing.assert_close(images, expected)
    assert torch.equal(pictures, kept), "an activation in place must not reach the input"


def test_dropout_is_where_pix2pix_has_it() -> None:
    for downs, expected in {8: [2, 3, 4], 7: [2, 3], 6: [2]}.items():
        with torch.device("meta"):
            unet = UnetGenerator((3, SIDES[downs], SIDES[downs]), 1, ngf=1, downs=downs)
        names = [n for n, m in unet.named_modules() if isinstance(m, nn.Dropout)]
        depth = [name.count("3.model") + name.count("1.model") for name in names]
        # The innermost block stands at downs - 1 and has the first up.
        assert sorted(downs - d for d in depth) == expected
    assert not any(isinstance(m, nn.Dropout) for m in small_unet(dropout=False).modules())


def test_residual_skips_are_kept() -> None:
    torch.manual_seed(0)
    resnet = small_resnet().eval()
    blocks = [m for m in resnet.modules() if isinstance(m, ResnetBlock)]
    assert len(blocks) == 2
    for block in blocks:
        nn.init.zeros_(block.conv_block[1].weight)
        nn.init.zeros_(block.conv_block[5].weight)
    x = torch.randn(1, 8, 5, 6)
    assert torch.equal(blocks[0](x), x)
    with torch.no_grad():
        pictures = torch.randn(1, 3, 32, 32)
        without = nn.Sequential(*(m for m in resnet.model if not isinstance(m, ResnetBlock)))
        assert torch.equal(resnet(pictures), without(pictures))


def test_a_block_is_two_reflected_convolutions_plus_its_input() -> None:
    torch.manual_seed(0)
    block = ResnetBlock(2, "instance", bias=True, dropout=False)
    x = torch.randn(1, 2, 6, 5)
    main = x
    for layer in (block.conv_block[1], block.conv_block[5]):
        main = F.conv2d(F.pad(main, [1] * 4, mode="reflect"), layer.weight, layer.bias)
        main = F.instance_norm(main)
        main = main.relu() if layer is block.conv_block[1] else main
    torch.testing.assert_close(block(x), x + main)


@pytest.mark.parametrize(
    ("side", "n_layers", "expected"), [(256, 3, 30), (128, 3, 14), (64, 3, 6), (64, 2, 14)]
)
def test_patch_maps_have_the_papers_sizes(side, n_layers, expected) -> None:
    shape = (3, side, side)
    with torch.device("meta"):
        patch = PatchGAN(shape, 1, ndf=1, n_layers=n_layers, conditional=False)
        scores = patch(torch.zeros(2, *shape))
    assert scores.shape == (2, 1, expected, expected)


@pytest.mark.parametrize(("n_layers", "field"), [(3, 70), (2, 34), (1, 16)])
def test_a_score_sees_a_patch(n_layers, field) -> None:
    patch = PatchGAN((1, 128, 128), 1, ndf=1, n_layers=n_layers, norm="none", conditional=False)
    for parameter in patch.parameters():
        nn.init.constant_(parameter, 0.1)
    images = torch.ones(1, 1, 128, 128, requires_grad=True)
    scores = patch(images)
    middle = scores.shape[-1] // 2
    scores[0, 0, middle, middle].backward()
    rows = images.grad[0, 0].abs().sum(dim=1).nonzero()
    assert len(rows) == field == rows.max() - rows.min() + 1


def test_conditional_discriminators_see_the_input_first() -> None:
    torch.manual_seed(0)
    shape = (3, 32, 32)
    patch = PatchGAN(shape, 1, ndf=2, n_layers=2, input_channels=1).eval()
    condition, images = torch.randn(2, 1, 32, 32), torch.randn(2, *shape)
    with torch.no_grad():
        expected = patch.model(torch.cat([condition, images], dim=1))
        assert torch.equal(patch(images, condition), expected)
    with pytest.raises(ConfigError, match="conditional=True"):
        patch(images)
    with pytest.raises(ConfigError, match="conditional=False"):
        PatchGAN(shape, 1, ndf=2, n_layers=2, conditional=False)(images, condition)


def test_the_code_is_a_map_of_every_down() -> None:
    torch.manual_seed(0)
    unet = small_bicycle(norm="none")
    init_normal(unet, std=0.3)
    downs = [m for m in unet.modules() if isinstance(m, nn.Conv2d)]
    assert [m.in_channels for m in downs] == [3 + 8, 2 + 8, 4 + 8, 8 + 8, 16 + 8]
    pictures, code = torch.randn(1, 3, 32, 32), torch.randn(1, 8)
    with torch.no_grad():
        plain = unet(pictures, code)
        for layer in downs:
            kept = layer.weight.clone()
            layer.weight[:, -8:] = 0
            assert not torch.equal(unet(pictures, code), plain)
            layer.weight.copy_(kept)
        for layer in downs:
            layer.weight[:, -8:] = 0
        assert torch.equal(unet(pictures, code), unet(pictures, code + 1))


def test_the_bicycle_skip_is_not_activated_and_comes_last() -> None:
    block = small_bicycle().model.submodule
    x = torch.full((1, 2, 16, 16), -1.0)
    with torch.no_grad():
        out = block(x, torch.zeros(1, 8))
    assert out.shape == (1, 4, 16, 16)
    assert torch.equal(out[:, 2:], x)


def test_the_encoder_averages_over_all_places() -> None:
    torch.manual_seed(0)
    encoder = BicycleEncoder((3, 32, 48), code_length=5, ndf=2, blocks=3)
    images = torch.randn(2, 3, 32, 48)
    mean, log_variance = encoder(images)
    assert mean.shape == log_variance.shape == (2, 5)
    features = encoder.conv[:-1](images).mean(dim=(2, 3))
    torch.testing.assert_close(mean, encoder.fc[0](features))
    torch.testing.assert_close(log_variance, encoder.fcVar[0](features))


def test_the_second_scale_sees_the_average() -> None:
    torch.manual_seed(0)
    multi = MultiScalePatchGAN((3, 64, 64), 1, ndf=4, n_layers=2)
    images = torch.randn(1, 3, 64, 64)
    large, small = multi(images)
    assert large.shape == (1, 1, 14, 14)
    assert small.shape == (1, 1, 6, 6)
    corner = images[0, :, :2, :2].mean(dim=(1, 2))  # padding is not counted
    averaged = multi.down(images)
    torch.testing.assert_close(averaged[0, :, 0, 0], corner)
    torch.testing.assert_close(small, multi.model1(averaged))


@pytest.mark.parametrize("make", [small_unet, small_resnet], ids=["unet", "resnet"])
def test_translators_take_rectangles(make) -> None:
    generator = make()
    assert isinstance(generator, Translator)
    assert not hasattr(generator, "z_dim")
    images = generator(torch.randn(2, 3, 64, 96), torch.zeros(2, dtype=torch.int64))
    assert images.shape == (2, 3, 64, 96)
    assert images.abs().max() <= 1
    grey = make(input_channels=1)
    assert grey(torch.randn(1, 1, 32, 64)).shape == (1, 3, 32, 64)


@pytest.mark.parametrize("shape", [(3, 64, 96), (3, 96, 64), (3, 32, 32)])
def test_a_unet_refuses_other_sizes(shape) -> None:
    with pytest.raises(ConfigError, match=f"{shape[1]}x{shape[2]}.*multiples of 64"):
        UnetGenerator(shape, 1, ngf=1, downs=6)
    with pytest.raises(ConfigError, match="multiples of 64"):
        BicycleUnet(shape, 1, ngf=1, downs=6)
    with pytest.raises(ConfigError, match="multiples of 64"):
        UnetGenerator((3, 64, 128), 1, ngf=1, downs=6)(torch.zeros(1, *shape))


@pytest.mark.parametrize("shape", [(3, 30, 32), (3, 32, 30), (3, 4, 32)])
def test_a_resnet_refuses_other_sizes(shape) -> None:
    message = f"{shape[1]}x{shape[2]}.*multiples of 4 and at least 8"
    with pytest.raises(ConfigError, match=message):
        ResnetTranslator(shape, 1, ngf=1, blocks=1)
    with pytest.raises(ConfigError, match=message):
        small_resnet()(torch.zeros(1, *shape))
    assert small_resnet()(torch.zeros(1, 3, 8, 12)).shape == (1, 3, 8, 12)


def test_too_small_pictures_are_refused() -> None:
    with pytest.raises(ConfigError, match="n_layers=3 needs pictures of at least 24x24"):
        PatchGAN((3, 32, 16), 1)
    assert PatchGAN((3, 24, 24), 1, conditional=False)(torch.zeros(2, 3, 24, 24)).numel() == 2
    with pytest.raises(ConfigError, match="blocks=5 needs pictures of at least 64"):
        BicycleEncoder((3, 32, 64))


def last_layers(generator: nn.Module) -> list[tuple[type[nn.Module], int]]:
    layers = map(generator.get_submodule, last_layers_of(generator))
    return [(type(layer), layer.out_channels) for layer in layers]


def test_last_layers_are_the_last_ones() -> None:
    two = [(nn.ConvTranspose2d, 2), (nn.Conv2d, 3)]
    one = [(nn.ConvTranspose2d, 3)]
    translator = partial(ResnetTranslator, ngf=2, blocks=1)
    encoder = partial(BicycleEncoder, ndf=2, blocks=3)
    assert last_layers(small_unet()) == one
    assert last_layers(small_resnet()) == two
    assert last_layers(CycleGenerator(SMALL, 1, translator)) == 2 * two
    assert last_layers(BicycleGenerator(SMALL, 1, small_bicycle, encoder)) == one


@pytest.mark.parametrize("make", [small_unet, small_resnet], ids=["unet", "resnet"])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_every_parameter_learns_from_a_batch_of_one(make, norm) -> None:
    torch.manual_seed(0)
    generator = make(norm=norm, bias=False)
    generator(torch.randn(1, 3, 32, 32)).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in generator.parameters())


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("make", [small_unet, small_resnet], ids=["unet", "resnet"])
def test_translators_can_be_traced_and_exported(make) -> None:
    torch.manual_seed(0)
    generator, pictures = make().eval(), torch.randn(1, 3, 32, 64)
    with torch.no_grad():
        expected = generator(pictures)
        traced = torch.jit.trace(generator, (pictures,))
        exported = torch.export.export(generator, (pictures,)).module()
        assert torch.equal(traced(pictures), expected)
        assert torch.equal(exported(pictures), expected)


def test_initial_weights_are_pix2pix_ones() -> None:
    torch.manual_seed(0)
    unet = UnetGenerator(SMALL, 1, ngf=16, downs=5)
    for module in unet.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.weight.numel() > 10_000:
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
            assert abs(module.weight.mean().item()) < 1e-3
            assert not module.bias.any()
    norms = [m for m in unet.modules() if isinstance(m, nn.BatchNorm2d)]
    scales = torch.cat([m.weight for m in norms])
    assert scales.mean().item() == pytest.approx(1, abs=0.005)
    assert scales.std().item() == pytest.approx(0.02, rel=0.15)
    assert not any(m.bias.any() for m in norms)


def test_checkpoints_go_there_and_back() -> None:
    torch.manual_seed(0)
    unet, other = small_unet(), small_unet()
    state = to_netg(unet.state_dict())
    state["model.model.3.bias"].add_(1)
    assert not unet.get_parameter("model.model.3.bias").any(), "an export shares nothing"
    other.load_state_dict(from_netg({f"module.{key}": value for key, value in state.items()}))
    assert torch.equal(other.get_parameter("model.model.3.bias"), torch.ones(3))
    running = "model.model.1.model.2.running_mean"
    assert torch.equal(other.get_buffer(running), state[running])


def test_statistics_of_old_instance_norms_are_dropped() -> None:
    resnet = small_resnet()
    state = to_netg(resnet.state_dict())
    old = {"running_mean": torch.zeros(2), "running_var": torch.ones(2)}
    state |= {f"model.2.{key}": value for key, value in old.items()}
    resnet.load_state_dict(from_netg(state))


def test_a_cycle_has_two_directions() -> None:
    torch.manual_seed(0)
    translator = partial(ResnetTranslator, ngf=2, blocks=1)
    generator = CycleGenerator(SMALL, 1, translator, input_channels=1)
    patch = partial(PatchGAN, ndf=2, n_layers=2, conditional=False)
    discriminator = CycleDiscriminator(SMALL, 1, patch, input_channels=1)
    source, y = torch.randn(2, 1, 32, 32), torch.zeros(2, dtype=torch.int64)
    target = generator(source, y)
    assert target.shape == (2, *SMALL)
    assert torch.equal(target, generator.forward_(source, y))
    back = generator.backward_(target, y)
    assert back.shape == source.shape
    assert discriminator.target(target).shape == discriminator.source(back).shape == (2, 1, 6, 6)
    firsts = [generator.forward_.model[1], generator.backward_.model[1]]
    assert [layer.in_channels for layer in firsts] == [1, 3]


def test_a_bicycle_draws_its_code() -> None:
    torch.manual_seed(0)
    encoder = partial(BicycleEncoder, ndf=2, blocks=3)
    generator = BicycleGenerator(SMALL, 1, small_bicycle, encoder, code_length=4)
    pictures, y = torch.randn(2, *SMALL), torch.zeros(2, dtype=torch.int64)
    torch.manual_seed(7)
    drawn = generator(pictures, y)
    torch.manual_seed(7)
    code = torch.randn(2, 4)
    assert torch.equal(drawn, generator(pictures, y, code))
    assert not torch.equal(drawn, generator(pictures, y, code + 1))
    mean, log_variance = generator.encoder(drawn)
    assert mean.shape == log_variance.shape == (2, 4)


CONFIGS = {
    "unet64": (64, 16 * (446 * 16**2 + 9 * 16) + 3 + 90 * 16, 176_081),
    "unet128": (128, 41_828_995, 2_768_705),
    "unet256": (256, 54_413_955, 2_768_705),
    "resnet6": (128, 7_837_699, 2_764_737 + 3_072),
    "resnet9": (256, 11_378_179, 2_764_737 + 3_072),
    "cycle_resnet6": (128, 2 * 7_837_699, 2 * 2_764_737),
    "cycle_resnet9": (256, 2 * 11_378_179, 2 * 2_764_737),
    "bicycle64": (64, 1_893_475 + 33_776, 108_116),
    "bicycle128": (128, 42_145_155 + 1_344_080, 2 * 830_626),
    "bicycle256": (256, 54_794_627 + 2_590_032, 2 * 3_458_978),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_network_files_play_together(name) -> None:
    side, generator_count, discriminator_count = CONFIGS[name]
    with initialize_config_dir(config_path(), version_base="1.3"):
        config = compose("train", [f"network={name}"]).network
    assert config.name == name
    pictures = torch.zeros(2, 3, side, side, device="meta")
    y = torch.zeros(2, dtype=torch.int64, device="meta")
    with torch.device("meta"):
        generator = instantiate(config.generator)((3, side, side), 4)
        discriminator = instantiate(config.discriminator)((3, side, side), 4)
        images = generator(pictures, y)
        condition = [pictures] if getattr(discriminator, "conditional", False) else []
        scores = discriminator(images, *condition)
    assert images.shape == pictures.shape
    maps = [scores] if isinstance(scores, Tensor) else scores
    assert len(maps) == (2 if name.startswith("bicycle") else 1)
    assert all(scale.shape[:2] == (2, 1) for scale in maps)
    assert count_parameters(generator) == generator_count
    assert count_parameters(discriminator) == discriminator_count
