"""What a hundred tasks store: the paper's rule, `auto`, and bounded banks, counted by hand."""

from __future__ import annotations

from itertools import accumulate

import pytest
import torch
from lifelong_generators import NETWORKS, assert_draws, inputs, reloaded, train_tasks
from torch import nn

from lgan.layers.bank import BankSettings
from lgan.layers.filter_bank import FactorisedTranslator, FilterBankLayer
from lgan.networks.unet import UnetGenerator

# Ci 4, Co 8, 3x3: 36 weights per filter, nu 2, np 6. Full: 288 + 8 biases. Task t (from 0) has a
# bank of 6 + 2t and adds 72 + 8 + 6 (6 + 2t) = 116 + 12t.
FULL = 296
COUNTS = {  # settings; numbers stored after 12, 62 and 200 tasks
    "all": ({}, (296 + 116 * 11 + 6 * 12 * 11, 296 + 116 * 61 + 6 * 62 * 61, 262_180)),
    # 36 > 6 + 2t up to t = 14; each later task has its own filters.
    "auto": ({"factorise": "auto"}, (2_364, 3_180 + 47 * FULL, 3_180 + 185 * FULL)),
    # At most 16 filters, reached at t = 5: then 80 + 6 * 16 a task.
    "first": ({"size": 2.0}, (1_056 + 6 * 176, 1_056 + 56 * 176, 1_056 + 194 * 176)),
    "last": ({"size": 2.0, "keep": "last"}, (2_112, 10_912, 35_200)),
    # And from t = 6 on which 16 these are.
    "used": ({"size": 2.0, "keep": "used"}, (2_112 + 6 * 16, 10_912 + 56 * 16, 35_200 + 194 * 16)),
}


def grown(tasks, device="cpu", **settings) -> FilterBankLayer:
    with torch.device(device):
        layer = FilterBankLayer(nn.Conv2d(4, 8, 3), BankSettings(**settings))
        layer.commit()
        for _ in range(tasks - 1):
            layer.add_task()
            layer.commit()
    return layer


@pytest.mark.parametrize("rule", COUNTS)
def test_numbers_after_12_62_and_200_tasks(rule) -> None:
    settings, expected = COUNTS[rule]
    layer = grown(200, **settings)
    added = [sum(layer.numbers_of(t).values()) for t in range(200)]
    stored = list(accumulate(added))
    assert tuple(stored[t - 1] for t in (12, 62, 200)) == expected
    assert sum(b.numel() for b in layer.buffers()) == stored[-1]
    assert (max(added) > FULL) == (rule == "all")
    assert added.index(next((n for n in added[1:] if n > FULL), FULL)) == (16 * (rule == "all"))


def held(layer) -> list[int]:
    return layer.bank_of(len(layer.counts) - 1)


def test_what_a_full_bank_holds() -> None:
    """16 places: 8 for the first task's, 8 for others; eight tasks learnt 8 + 7 * 2 = 22."""
    first = list(range(8))
    assert held(grown(9, size=2.0)) == [*first, *range(8, 16)]
    assert held(grown(9, size=2.0, keep="last")) == [*first, *range(14, 22)]
    assert held(grown(9, size=1.0, keep="last")) == first
    assert held(grown(9, size=1.125, keep="used")) == [*first, 20]
    assert held(grown(5, size=2.0, keep="last")) == list(range(14)), "not full"


def test_most_used_filters_stay() -> None:
    layer = grown(6, size=2.0, keep="used")
    assert held(layer) == list(range(16))
    layer.mixing5.zero_()
    layer.mixing5[8:14] = torch.tensor([3.0, 0, 1, 4, 2, 5])[:, None]
    layer.mixing5[14:, 0] = 9.0
    layer.add_task()  # its two new filters, 16 and 17, push out 9 and 10
    assert held(layer) == [*range(9), *range(11, 18)]
    assert layer.chosen6.dtype == torch.int32
    layer.mixing.data.zero_()[[9, 15], [0, 1]] = 1.0
    mixed = layer.weight_of(6)[2:]
    assert torch.equal(mixed[0], layer.slab2[1])  # the bank's tenth filter is the twelfth learnt
    assert torch.equal(mixed[1], layer.slab5[1])


@pytest.mark.parametrize("keep", ["first", "last", "used"])
def test_warm_start_from_a_full_bank(keep) -> None:
    layer = grown(9, size=1.5, keep=keep)
    assert torch.equal(layer.weight_of(8), layer.weight_of(0))
    layer = grown(9, size=1.5, keep=keep, start="previous", init="warm")
    layer.mixing8[:8] = torch.randn(8, 6)
    layer.add_task()
    torch.testing.assert_close(layer.weight_of(9), layer.weight_of(8))


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("keep", ["first", "last", "used"])
def test_bounded_banks_keep_old_tasks_and_rebuild_to_the_bit(kind, keep) -> None:
    def fresh():
        torch.manual_seed(0)
        settings = BankSettings(size=1.3, keep=keep, init="normal")
        return FactorisedTranslator(NETWORKS[kind](), settings, seed=5)

    generator = fresh()
    kept = train_tasks(generator, kind, tasks=6)
    again = reloaded(fresh(), generator)
    assert_draws(again, kind, kept)
    for each in (again, generator):  # and goes on as if it had never been saved
        each.add_task([6])
    for one, other in zip(
        again.state_dict().values(), generator.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)
    assert torch.equal(again.eval()(*inputs(kind)), generator.eval()(*inputs(kind)))


RATIOS = {  # stored / (T x Full) after 12 and 62 tasks; the first task that costs more than Full
    "all": ({}, [0.466, 0.732], 54),
    "auto": ({"factorise": "auto"}, [0.466, 0.649], None),
    "size": ({"size": 4.0}, [0.466, 0.496], None),
}


@pytest.mark.parametrize("rule", RATIOS)
def test_share_of_full_of_a_small_unet(rule, capsys) -> None:
    settings, expected, first = RATIOS[rule]
    with torch.device("meta"):
        plain = UnetGenerator((3, 8, 8), 1, ngf=4, downs=3)
        generator = FactorisedTranslator(plain, BankSettings(**settings))
        for _ in range(62):
            generator.add_task()
            generator.commit()
    added = [generator.new_parameters(t) for t in range(62)]
    stored = list(accumulate(added))
    assert [round(stored[t - 1] / (t * added[0]), 3) for t in (12, 62)] == expected
    assert next((t for t, n in enumerate(added) if n > added[0]), None) == first
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == (rule == "all"), "said once"
    if rule == "all":
        assert f"=all: task {first} adds {added[first]:,} numbers" in warnings[0]
