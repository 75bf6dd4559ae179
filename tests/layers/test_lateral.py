"""Columns: laterals by hand, a start as Full, frozen older columns, counts of the paper."""

from __future__ import annotations

import pytest
import torch
from lifelong_generators import NETWORKS, assert_draws, inputs, reloaded, train, train_tasks
from torch import nn

from lgan.layers.lateral import LateralLayer, ProgressiveTranslator
from lgan.networks.composite import CycleGenerator
from lgan.networks.resnet_translator import ResnetTranslator
from lgan.networks.unet import UnetGenerator


def small_resnet(*args, **kwargs):
    return ResnetTranslator((3, 16, 16), 1, ngf=4, blocks=1, norm="batch")


COLUMNS = {
    **NETWORKS,
    "unet": lambda: UnetGenerator((3, 32, 32), 1, ngf=4, downs=5),  # with dropout
    "resnet": small_resnet,
}
every_network = pytest.mark.parametrize("kind", COLUMNS)


def build(kind, task):
    torch.manual_seed(100 + task)
    return COLUMNS[kind]()


def make(kind):
    return ProgressiveTranslator(build(kind, 0), lambda task: build(kind, task))


def two_layers(task=0):
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 1, bias=False))
    with torch.no_grad():
        network[0].weight.fill_(2.0 + task)
        network[2].weight.fill_(5.0)
    return network


def test_laterals_by_hand() -> None:
    """x = 1: older columns read 2 and 3 there, the third 4; 5 * (4 + 10 * 2 + 100 * 3) = 1620.

    What a column is read for is its own activation, before the laterals are added to it.
    """
    generator = ProgressiveTranslator(two_layers(), two_layers)
    for _ in range(3):
        generator.add_task()
        if len(generator.tasks) < 3:
            generator.commit()
    second, third = generator.columns.columns[1][2], generator.current[2]
    with torch.no_grad():
        second.laterals[0].weight.fill_(7.0)
        third.laterals[0].weight.fill_(10.0)
        third.laterals[1].weight.fill_(100.0)
    assert generator(torch.ones(1, 1)).item() == 1620
    assert generator.bake(1)(torch.ones(1, 1)).item() == 5 * (3 + 7 * 2)


@every_network
def test_a_new_column_starts_as_full(kind) -> None:
    generator = make(kind)
    for task in range(3):
        generator.add_task([task])
        plain = build(kind, task).eval()
        assert torch.equal(generator.eval()(*inputs(kind)), plain(*inputs(kind)))
        train(generator, kind, task)


@every_network
def test_old_columns_never_change_and_are_read(kind) -> None:
    generator = make(kind)
    kept = train_tasks(generator, kind)
    laterals = [m for m in generator.current.modules() if isinstance(m, LateralLayer)]
    assert all(made.weight.any() for layer in laterals for made in layer.laterals)
    assert_draws(reloaded(make(kind), generator), kind, kept)


def test_old_columns_stay_in_eval_mode() -> None:
    generator = make("unet")
    generator.add_task()
    generator.commit()
    generator.add_task()
    generator.train()
    old, new = generator.columns.columns
    assert not any(m.training for m in old.modules())
    assert all(m.training for m in new.modules())
    assert not any(p.requires_grad for p in old.parameters())


def test_baked_shares_nothing() -> None:
    generator = make("mlp")
    generator.add_task()
    train(generator, "mlp", 0)
    before = generator.bake(0)(*inputs("mlp"))
    for parameter in generator.bake(0).parameters():
        parameter.data.zero_()
    assert torch.equal(generator.bake(0)(*inputs("mlp")), before)


@pytest.mark.parametrize(
    ("network", "full", "each"),
    [(UnetGenerator, 54_419_459, 5_935_104), (ResnetTranslator, 11_378_179, 1_286_144)],
)
def test_parameters_to_the_unit(network, full, each) -> None:
    """Full + (t - 1) sum Ci^2 over all layers but the first: 1.11, 1.22, 1.33 of a U-Net."""
    with torch.device("meta"):
        fresh = lambda task: network((3, 256, 256), 1)  # noqa: E731
        generator = ProgressiveTranslator(fresh(0), fresh)
        for _ in range(4):
            generator.add_task()
            generator.commit()
    assert [generator.new_parameters(t) for t in range(4)] == [full + t * each for t in range(4)]
    assert generator.stored_parameters() == sum(p.numel() for p in generator.parameters())


def test_both_halves_of_a_cycle_have_columns() -> None:
    """Each half's first layer has no lateral; calling a half runs that half of all columns."""

    def fresh(task=0):
        torch.manual_seed(task)
        return CycleGenerator((3, 16, 16), 1, small_resnet)

    generator = ProgressiveTranslator(fresh(), fresh)
    generator.add_task()
    generator.commit()
    generator.add_task()
    generator.eval()
    z = inputs("resnet")[0]
    plain = fresh(1).eval()
    assert torch.equal(generator.backward_(z, None), plain.backward_(z, None))
    layers = [m for m in generator.current.modules() if isinstance(m, LateralLayer)]
    assert {layer.name.split(".")[0] for layer in layers} == {"forward_", "backward_"}
    assert len(layers) == 2 * 7
    with torch.no_grad():
        for layer in layers:
            layer.laterals[0].weight.normal_()
    image = z.clone().requires_grad_()
    there = generator.forward_(image, None)
    assert not torch.allclose(there, plain.forward_(image, None))
    generator.backward_(there, None).sum().backward()
    assert image.grad.abs().max() > 0
    assert torch.equal(generator.bake(1).forward_(z, None), generator.forward_(z, None))
