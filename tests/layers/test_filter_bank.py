"""Filter banks: filters selected, warm starts to the bit, two executions, nothing forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from lgan.errors import ConfigError
from lgan.layers.execution import Execution, Work
from lgan.layers.filter_bank import BankSettings, FilterBankLayer

LAYERS = {
    "conv": lambda: nn.Conv2d(3, 8, 4, stride=2, padding=1),
    "dilated": lambda: nn.Conv2d(3, 8, 3, padding="same", dilation=2),
    "deconv": lambda: nn.ConvTranspose2d(3, 8, 3, stride=2, padding=1, output_padding=1),
    "linear": lambda: nn.Linear(3, 8),
}
every_layer = pytest.mark.parametrize("kind", LAYERS)


def make(kind="conv", **settings):
    torch.manual_seed(0)
    return FilterBankLayer(LAYERS[kind](), BankSettings(**settings))


def picture(kind, seed=1, batch=2):
    shape = (batch, 3) if kind == "linear" else (batch, 3, 6, 10)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def train(layer, kind, seed) -> None:
    """Three Adam steps with weight decay on the current task's parameters."""
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05, weight_decay=0.1)
    for step in range(3):
        loss = (layer(picture(kind, 10 * seed + step)) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def trained(kind, tasks=3, **settings):
    layer = make(kind, **settings)
    for task in range(tasks):
        if task:
            layer.add_task()
        train(layer, kind, task)
        layer.commit()
    return layer


def filters(layer, weight):
    """The weight with its filters first."""
    return weight.movedim(layer.kernel.filter_axis, 0)


@every_layer
def test_one_hot_column_selects_a_filter(kind) -> None:
    layer = make(kind, unconstrained=0.25, init="normal")
    first = layer.weight_of(0).clone()
    layer.commit()
    layer.add_task()
    chosen = [3, 0, 7, 7, 5, 1]
    with torch.no_grad():
        layer.mixing.zero_()
        layer.mixing[chosen, range(6)] = 1.0
    mixed = filters(layer, layer.weight_of(1))[2:]
    assert torch.equal(mixed, filters(layer, first)[chosen])


@every_layer
def test_bank_holds_the_unconstrained_filters_of_all_tasks(kind) -> None:
    """Co = 8, nu = 2: banks of 8 and 10; the third task's W reaches the second's filters."""
    layer = trained(kind, tasks=2, init="normal")
    layer.add_task()
    assert layer.mixing.shape == (10, 6)
    second = filters(layer, layer.weight_of(1))[1]
    with torch.no_grad():
        layer.mixing.zero_()
        layer.mixing[9, 4] = 1.0
    assert torch.equal(filters(layer, layer.weight_of(2))[2 + 4], second)


@every_layer
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_warm_start_is_the_first_task_to_the_bit(kind, share) -> None:
    layer = make(kind, unconstrained=share)
    train(layer, kind, 0)
    before = layer(picture(kind)).detach()
    layer.commit()
    for task in (1, 2):
        layer.add_task()
        assert torch.equal(layer.weight_of(task), layer.weight_of(0))
        layer.execution = Execution("compose")
        assert torch.equal(layer(picture(kind)), before)
        train(layer, kind, task)
        assert not torch.equal(layer(picture(kind)), before)
        layer.commit()


@every_layer
def test_start_from_the_previous_task(kind) -> None:
    layer = trained(kind, tasks=2, start="previous")
    previous = layer.weight_of(1)
    assert not torch.allclose(previous, layer.weight_of(0), atol=1e-3)
    layer.add_task()
    torch.testing.assert_close(layer.weight_of(2), previous)
    assert torch.equal(layer.bias, layer.bias1)


@every_layer
@pytest.mark.parametrize("share", [0.0, 0.25])
def test_executions_agree_with_all_gradients(kind, share) -> None:
    results = []
    for mode in ("compose", "mix", "multiply"):
        layer = trained(kind, tasks=2, unconstrained=share, init="scaled", execution=mode)
        layer.add_task()
        if mode == "multiply":  # though composing took fewer multiplications
            layer.execution.choose = lambda x, work: "multiply"
        x = picture(kind).requires_grad_()
        y = layer(x)
        torch.manual_seed(3)
        (y * torch.randn(y.shape)).sum().backward()
        free = None if layer.free is None else layer.free.grad
        results.append((y, x.grad, layer.mixing.grad, layer.bias.grad, free))
    for composed, *others in zip(*results, strict=True):
        for other in others if composed is not None else ():
            assert composed.abs().max() > 0
            torch.testing.assert_close(composed, other, rtol=1e-4, atol=1e-5)


def test_no_mode_gives_the_bank_a_gradient() -> None:
    layer = trained("conv", tasks=2)
    layer.add_task()
    assert {name for name, _ in layer.named_parameters()} == {"free", "mixing", "bias"}
    assert {name for name, _ in layer.named_buffers()} == {
        *("slab0", "bias0", "slab1", "mixing1", "bias1")
    }


def test_costs_by_hand() -> None:
    """B 10, np 6, nu 2, 12 weights, 5 positions, 20 of the output (a transposed convolution)."""
    work = Work(10, 6, 2, 12, 5, 20)
    composing, convolving = 10 * 6 * 12, 5 * 12 * 8
    assert work.compose(weights=False, inputs=False) == composing + convolving
    assert work.compose(weights=True, inputs=True) == 2 * composing + 3 * convolving
    bank, mixing, free = 5 * 12 * 10, 20 * 10 * 6, 5 * 12 * 2
    assert work.mix(weights=False, inputs=False) == bank + mixing + free
    # Wanted: W's gradient, and the input's through maps and bank; none of the bank itself.
    assert work.mix(weights=True, inputs=True) == 2 * bank + 3 * mixing + 3 * free
    assert work.mix(weights=True, inputs=False) == bank + 2 * mixing + 2 * free
    # Multiplied: each of 4 x 4 taps is mixed before they are added up.
    early = bank + 5 * 16 * 10 * 6 + free
    assert replace(work, taps=16).mix(False, False, multiply=True) == early


@pytest.mark.parametrize("kind", ["conv", "dilated", "deconv", "linear"])
def test_positions_are_those_of_the_layer(kind) -> None:
    layer, x = make(kind), picture(kind)
    outputs = layer(x).numel() // 8
    applied = x.numel() // 3 if kind in ("deconv", "linear") else outputs
    assert layer.kernel.positions(x.shape) == (applied, outputs)


@pytest.mark.parametrize(("device", "mix"), [("cpu", "multiply"), ("meta", "mix")])
def test_small_pictures_are_mixed_and_large_ones_composed(device, mix) -> None:
    """K 48, B 8, np 6, nu 2: composing costs 4608 + 1152 P, mixing 1200 P, alike at P = 96."""
    layer = make()
    layer.commit()
    layer.add_task()

    def choose(height, width, work=layer.work):
        x = torch.empty(1, 3, height, width, requires_grad=True, device=device)
        return layer.execution.choose(x, work)

    assert choose(2 * 5, 2 * 19) == mix  # P = 95
    assert choose(2 * 12, 2 * 8) == "compose"  # P = 96
    asked = []
    assert choose(2 * 5, 2 * 19, asked.append) == mix and not asked  # remembered
    layer.commit()
    assert not layer.execution._chosen  # the sizes have changed


@every_layer
def test_finished_tasks_keep_their_bits(kind) -> None:
    layer = make(kind, init="normal")
    kept = {}
    for task in range(4):
        if task:
            layer.add_task()
        train(layer, kind, task)
        composed = layer.weight_of(task).clone()
        layer.commit()
        assert torch.equal(layer.weight_of(task), composed)
        kept[task] = layer.bake(task)(picture(kind))
        for old, drawn in kept.items():
            assert torch.equal(layer.bake(old)(picture(kind)), drawn), (task, old)


@every_layer
def test_saved_and_loaded_to_the_bit(kind) -> None:
    layer = trained(kind)
    layer.add_task()
    train(layer, kind, 3)
    loaded = make(kind)
    for _ in range(3):
        loaded.commit()
        loaded.add_task()
    loaded(picture(kind))  # banks are remembered, and must be dropped by loading
    loaded.load_state_dict(layer.state_dict())
    for task in range(4):
        assert torch.equal(loaded.weight_of(task), layer.weight_of(task))
        assert torch.equal(loaded.bias_of(task), layer.bias_of(task))
        assert layer.bias_of(task).abs().max() > 0
    assert torch.equal(loaded(picture(kind)), layer(picture(kind)))


@every_layer
def test_baked_is_a_plain_layer_that_shares_nothing(kind) -> None:
    layer = trained(kind)
    baked = layer.bake(1)
    assert type(baked) is type(LAYERS[kind]())
    assert not any(p.requires_grad for p in baked.parameters())
    with torch.no_grad():
        baked.weight.zero_()
        baked.bias.zero_()
    assert layer.bake(1).weight.abs().max() > 0 and layer.bias1.abs().max() > 0
    finished = layer(picture(kind))  # of the last task, which no longer is trained
    assert torch.equal(finished, layer.bake(2)(picture(kind)))


def test_extremes_hold_no_empty_tensors() -> None:
    pure, free = trained("conv", 2, unconstrained=0.0), trained("conv", 2, unconstrained=1.0)
    assert set(pure.state_dict()) == {"slab0", "bias0", "mixing1", "bias1"}
    assert set(free.state_dict()) == {"slab0", "bias0", "slab1", "bias1"}
    assert pure.mixing1.shape == (8, 8)


def test_rounding_of_the_unconstrained_filters() -> None:
    def count(rounding, share, outputs):
        return BankSettings(share, rounding).free_filters(outputs, 48, outputs)

    assert [count("round", 0.25, n) for n in (3, 5, 6, 8)] == [1, 1, 2, 2]
    assert [count("ceil", 0.25, n) for n in (3, 5, 6, 8)] == [1, 2, 2, 2]
    assert count("ceil", 0.1, 30) == 3 and count("ceil", 0.7, 10) == 7


def test_auto_factorises_only_where_it_saves() -> None:
    """K = 48 weights per filter: worth it while the bank holds fewer than 48 filters."""
    settings = BankSettings(0.25, factorise="auto")
    assert settings.free_filters(64, 48, 47) == 16
    assert settings.free_filters(64, 48, 48) == 64
    layer = make("linear", factorise="auto")  # K = 3, B = 8
    layer.commit()
    layer.add_task()
    assert layer.mixing is None and layer.free.shape == (8, 3)


@pytest.mark.parametrize("init", ["normal", "scaled"])
def test_spread_of_fresh_tensors(init) -> None:
    torch.manual_seed(0)
    layer = FilterBankLayer(nn.Conv2d(16, 64, 3), BankSettings(init=init))
    layer.commit()
    layer.add_task()
    spread = 0.02 if init == "normal" else 1 / 8  # B = 64
    assert layer.mixing.std().item() == pytest.approx(spread, rel=0.05)
    assert layer.free.std().item() == pytest.approx(0.02, rel=0.05)
    assert not layer.bias.any()


@every_layer
def test_numbers_are_those_of_the_tensors(kind) -> None:
    layer = trained(kind)
    held = layer.state_dict()
    for task in range(3):
        names = {"unconstrained": "slab", "mixing": "mixing", "bias": "bias"}
        sizes = {k: held[f"{n}{task}"].numel() for k, n in names.items() if f"{n}{task}" in held}
        assert layer.numbers_of(task) == {"mixing": 0} | sizes


def test_layers_that_cannot_be_mixed_are_refused() -> None:
    with pytest.raises(ConfigError, match="groups=1"):
        FilterBankLayer(nn.Conv2d(4, 4, 3, groups=2), BankSettings())
    with pytest.raises(ConfigError, match="padding_mode"):
        FilterBankLayer(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), BankSettings())
    with pytest.raises(ConfigError, match="Conv1d"):
        FilterBankLayer(nn.Conv1d(4, 4, 3), BankSettings())
