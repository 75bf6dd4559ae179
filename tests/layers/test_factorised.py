"""Whole generators with filter banks: counts to the unit, retention, saving, baking."""

from __future__ import annotations

import pytest
import torch
from lifelong_generators import NETWORKS, assert_draws, inputs, reloaded, train, train_tasks
from torch import nn

from lgan.errors import ConfigError, RunError
from lgan.layers.filter_bank import BankSettings, FactorisedTranslator
from lgan.layers.per_task import PerTask, last_layers_of
from lgan.networks.mlp import MLPGenerator
from lgan.networks.resnet_translator import ResnetTranslator
from lgan.networks.unet import UnetGenerator

UNET = {  # papers/piggyback_gan.md, 1.5: unconstrained and last, W, and all of t = 2, 3, 4
    0: (6_144, 2_531_328, 2_552_835, 2_552_835, 2_552_835),
    1 / 8: (6_805_888, 2_214_912, 9_036_163, 9_313_027, 9_589_891),
    1 / 4: (13_605_632, 1_898_496, 15_519_491, 15_994_115, 16_468_739),
    1 / 2: (27_205_120, 1_265_664, 28_486_147, 29_118_979, 29_751_811),
    1: (54_404_096, 0, 54_419_459, 54_419_459, 54_419_459),
}
RESNET = {
    0: (83_136, 1_282_048, 1_370_435, 1_370_435, 1_370_435),
    1 / 8: (1_494_360, 1_121_792, 2_621_403, 2_761_627, 2_901_851),
    1 / 4: (2_905_584, 961_536, 3_872_371, 4_112_755, 4_353_139),
    1 / 2: (5_728_032, 641_024, 6_374_307, 6_694_819, 7_015_331),
    1: (11_372_928, 0, 11_378_179, 11_378_179, 11_378_179),
}
CASES = [
    *((UnetGenerator, 54_419_459, share, row) for share, row in UNET.items()),
    *((ResnetTranslator, 11_378_179, share, row) for share, row in RESNET.items()),
]


def small_resnet(norm="instance"):
    return ResnetTranslator((3, 16, 16), 1, ngf=4, blocks=2, norm=norm)


SMALL = {**NETWORKS, "resnet": small_resnet, "resnet_batch": lambda: small_resnet("batch")}
every_network = pytest.mark.parametrize("kind", SMALL)


def make(kind, **settings):
    torch.manual_seed(0)
    return FactorisedTranslator(SMALL[kind](), BankSettings(**settings), seed=5)


def trained(kind, tasks=3, **settings):
    generator = make(kind, **settings)
    train_tasks(generator, kind, tasks)
    return generator


@pytest.mark.parametrize(("network", "full", "share", "row"), CASES)
def test_parameters_of_tasks_to_the_unit(network, full, share, row) -> None:
    with torch.device("meta"):
        plain = network((3, 256, 256), 1)
        generator = FactorisedTranslator(plain, BankSettings(unconstrained=share))
        for _ in range(4):
            generator.add_task()
            generator.commit()
    second = generator.numbers_of(1)
    assert second.get("unconstrained", 0) + second["last"] == row[0]
    assert second.get("mixing", 0) == row[1]
    assert tuple(map(generator.new_parameters, range(4))) == (full, *row[2:])
    assert generator.stored_parameters() == full + sum(row[2:])
    held = sum(p.numel() for p in generator.parameters())
    statistics = sum(generator.numbers_of(t).get("statistics", 0) for t in range(4))
    buffers = sum(b.numel() for b in generator.buffers() if b.is_floating_point())
    assert held + buffers - statistics == generator.stored_parameters()


def test_shares_of_the_store_are_the_papers() -> None:
    """U-Net at 1/4: 47.0 % of 4 x Full after 4 tasks, 38.8 % of 10 x Full after 10."""
    with torch.device("meta"):
        generator = FactorisedTranslator(UnetGenerator((3, 256, 256), 1), BankSettings())
        for _ in range(10):
            generator.add_task()
            generator.commit()
    full = generator.new_parameters(0)
    assert round(generator.stored_parameters(4) / (4 * full), 3) == 0.470
    assert round(generator.stored_parameters() / (10 * full), 3) == 0.388


def test_auto_saves_what_does_not_pay() -> None:
    """Only d1 (K = 48 against B >= 64) is not factorised: 3,072 weights instead of 3,840."""
    numbers = []
    for factorise in ("all", "auto"):
        with torch.device("meta"):
            plain = UnetGenerator((3, 256, 256), 1)
            generator = FactorisedTranslator(plain, BankSettings(factorise=factorise))
            generator.add_task()
            generator.commit()
            generator.add_task()
        numbers.append(generator.new_parameters(1))
    assert numbers[0] - numbers[1] == 3_840 - 3_072


@every_network
def test_warm_start_of_the_network_to_the_bit(kind) -> None:
    generator = trained(kind, 1)
    first = generator.bake(0)(*inputs(kind))
    for task in (1, 2):
        generator.add_task([task])
        assert torch.equal(generator.bake(task)(*inputs(kind)), first)
        train(generator, kind, task)
        assert not torch.equal(generator.bake(task)(*inputs(kind)), first)


@every_network
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_old_tasks_keep_their_bits(kind, share) -> None:
    generator = make(kind, unconstrained=share, init="normal")
    train_tasks(generator, kind, tasks=4)
    assert not any(p.requires_grad for p in generator.parameters())


@every_network
def test_saved_and_loaded_to_the_bit(kind) -> None:
    generator = trained(kind)
    generator.add_task([3])
    assert any("bias" in key.rpartition(".")[2] for key in generator.state_dict())
    kept = [generator.bake(task)(*inputs(kind)) for task in range(4)]
    assert_draws(reloaded(make(kind), generator), kind, kept)


@every_network
def test_baked_has_the_keys_of_the_plain_network(kind) -> None:
    plain = SMALL[kind]()
    baked = trained(kind).bake(1)
    assert list(baked.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(baked.state_dict())
    assert torch.equal(plain.eval()(*inputs(kind)), baked(*inputs(kind)))


def test_first_task_is_the_plain_network() -> None:
    """The residual skips are kept, and converting changes nothing."""
    for kind, build in SMALL.items():
        torch.manual_seed(0)
        plain = build()
        converted = make(kind)
        assert torch.equal(plain(*inputs(kind)), converted(*inputs(kind)))


def test_executions_agree_on_a_whole_network() -> None:
    gradients = []
    for mode in ("compose", "mix", "multiply"):
        generator = trained("unet", 2, unconstrained=0.25, execution=mode)
        generator.add_task()
        generator.eval()
        generator(*inputs("unet")).square().mean().backward()
        gradients.append([p.grad for p in generator.parameters() if p.requires_grad])
    assert len(gradients[0]) > 20
    for composed, *others in zip(*gradients, strict=True):
        for other in others:
            torch.testing.assert_close(composed, other, rtol=1e-3, atol=1e-6)


@every_network
def test_last_layers_are_whole_for_each_task(kind) -> None:
    generator = trained(kind)
    for name in generator.last_layers:
        layer = generator.network.get_submodule(name)
        assert isinstance(layer, PerTask) and len(layer.tasks) == 3


def test_norms_of_finished_tasks_stay_in_eval_mode() -> None:
    generator = trained("unet")
    generator.add_task()
    generator.train()
    norms = [m for m in generator.modules() if isinstance(m, PerTask) and m.kind == "norm"]
    assert norms
    for norm in norms:
        assert [m.training for m in norm.tasks] == [False, False, False, True]


def test_last_layer_that_nobody_declared_is_the_last_one() -> None:
    assert last_layers_of(MLPGenerator((1, 8, 8), 2)) == ("body.4",)
    with pytest.raises(ConfigError, match="no linear layer"):
        last_layers_of(nn.Sequential(nn.ReLU()))


def test_parts_of_the_network_are_reached_through_the_generator() -> None:
    generator = make("unet")
    assert generator.multiple == 32 and generator.halves == {"forward": ""}
    with pytest.raises(AttributeError):
        _ = generator.nonsense


def test_tensors_outside_the_layers_are_refused() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 3))
    network.register_buffer("mean", torch.zeros(3))
    with pytest.raises(ConfigError, match="outside its layers"):
        FactorisedTranslator(network, BankSettings())


def test_other_settings_than_saved_are_refused() -> None:
    saved = trained("resnet", 2).structure()
    with pytest.raises(RunError, match="another shape"):
        make("resnet", unconstrained=0.5).rebuild(saved)
