"""Expansion sizes against the numbers of papers/dgm.md, section 3."""

from __future__ import annotations

import pytest

from lgan.layers.growing import (
    LayerSize,
    code_rule,
    grown_by_weights,
    paper_rule,
)
from lgan.networks.chain import Chain, Link
from lgan.networks.dgm import DGMGenerator

DIGITS = DGMGenerator((1, 32, 32), 10).chain()
WIDTHS = {"project": 24, "convolutions.0": 12, "convolutions.1": 6}


def sizes(*newly: int) -> dict[str, LayerSize]:
    shapes = [(128, 24), (24, 12), (12, 6)]
    return {
        name: LayerSize(inputs, outputs, 16, new)
        for name, (inputs, outputs), new in zip(WIDTHS, shapes, newly, strict=True)
    }


def test_the_official_run() -> None:
    """42 / 52 / 52 % reserved: +11; gain 2,112, +1; gain 96, +3: 35 / 13 / 9 and 80,832 weights."""
    grown = grown_by_weights(DIGITS, sizes(20_787, 2_402, 599), WIDTHS, code_rule)
    assert list(grown.values()) == [35, 13, 9]
    a, b, c = grown.values()
    assert 16 * (128 * a + a * b + b * c) == 80_832


def test_the_shares_read_off_the_log_would_give_another_size() -> None:
    """29 / 33 / 32 % of the trained sizes: 31 / 13 / 8."""
    newly = [round(share * n) for share, n in ((0.29, 49152), (0.33, 4608), (0.32, 1152))]
    grown = grown_by_weights(DIGITS, sizes(*newly), WIDTHS, code_rule)
    assert list(grown.values()) == [31, 13, 8]


def test_a_hidden_layer_may_not_widen() -> None:
    """The wider input alone adds 11 * 12 * 16 = 2,112 free weights."""
    grown = grown_by_weights(DIGITS, sizes(20_787, 2_112, 0), WIDTHS, code_rule)
    assert grown["convolutions.0"] == 12
    assert code_rule(LayerSize(24, 12, 16, 2_113), 11) == 1


@pytest.mark.parametrize("newly", [0, 1, 383, 384, 385, 2_402])
def test_the_paper_keeps_what_is_free(newly) -> None:
    """n m - newly + added: n m if newly mod n is 0, else n m + (n - newly mod n)."""
    n, m = 24 * 16, 12
    added = paper_rule(LayerSize(24, m, 16, newly), more_inputs=11)
    free = n * m - newly + added * n
    assert free == n * m + (-newly % n)


def test_layers_that_make_the_same_units_get_the_larger_width() -> None:
    """Outputs per unit are rounded up: 17 outputs of 16 per unit are two units."""
    links = (
        Link("fc", None, "stem", per_unit=16),
        Link("main", "stem", "out"),
        Link("skip", "stem", "out"),
    )
    chain = Chain(links, {}, "head", "out", {})
    layers = {
        "fc": LayerSize(10, 64, 1, 170),
        "main": LayerSize(4, 4, 9, 200),
        "skip": LayerSize(4, 4, 1, 30),
    }
    grown = grown_by_weights(chain, layers, {"stem": 4, "out": 4}, code_rule)
    # main: gain 2*4*9 = 72, ceil(128 / 54) = 3; skip: gain 8, ceil(22 / 6) = 4.
    assert grown == {"stem": 6, "out": 8}
