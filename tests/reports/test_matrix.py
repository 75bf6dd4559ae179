"""The scalars of a result matrix against the documented vector and hand-worked cases."""

from __future__ import annotations

import math

import pytest

from lgan.reports import matrix as m

VECTOR = [[10.0], [20.0, 12.0], [40.0, 30.0, 11.0]]


def test_documented_vector() -> None:
    assert m.average_metric(VECTOR) == [10.0, 16.0, 27.0]
    assert m.afq(VECTOR) == 27
    assert m.aiq_mean_of_means(VECTOR) == pytest.approx(53 / 3)
    assert m.aiq_flat(VECTOR) == 20.5
    assert m.forgetting_rate(VECTOR) == 24


def test_looks_back_by_hand() -> None:
    assert m.relative_forgetting_rate(VECTOR) == pytest.approx((30 / 10 + 18 / 12) / 2)
    assert m.plasticity(VECTOR) == 11
    accuracies = [[0.8], [0.9, 0.7], [0.5, 0.75, 1.0]]
    # task 0 peaked at 0.9 after task 1; task 1 got better, which counts as negative forgetting
    assert m.forgetting(accuracies) == pytest.approx(((0.9 - 0.5) + (0.7 - 0.75)) / 2)
    assert m.SCALARS["backward_transfer"](accuracies) == pytest.approx(
        ((0.5 - 0.8) + (0.75 - 0.7)) / 2
    )


def test_one_task_has_nothing_to_forget() -> None:
    found = {name: scalar([[0.5]]) for name, scalar in m.SCALARS.items()}
    backwards = {"forgetting_rate", "relative_forgetting_rate", "forgetting", "backward_transfer"}
    assert {name for name, value in found.items() if math.isnan(value)} == backwards
    assert {found[name] for name in set(found) - backwards} == {0.5}


def test_nan_spreads_and_zero_baseline_is_nan() -> None:
    holed = [[math.nan], [0.5, 0.5], [0.5, 0.5, 0.5]]
    assert math.isnan(m.forgetting(holed))
    assert math.isnan(m.aiq_flat(holed))
    assert m.afq(holed) == 0.5
    assert math.isnan(m.relative_forgetting_rate([[0.0], [1.0, 1.0]]))
