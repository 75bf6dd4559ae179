from __future__ import annotations

import pytest
import torch

from lgan.data.images import TensorImages
from lgan.data.loader import BatchLoader
from lgan.errors import ConfigError
from lgan.objectives.schedule import (
    DataClock,
    LinearDecay,
    LinearDecayOverTask,
    linear_decay,
)

# Facades: 400 pictures, batch 1: epoch e is the steps 400 e, ..., 400 e + 399.
FACADES = DataClock(dataset_size=400, batch_size=1, steps=80_000)


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [(0, 1.0), (99, 1.0), (100, 100 / 101), (101, 99 / 101), (150, 50 / 101), (199, 1 / 101)],
)
def test_the_recipe_of_pix2pix(epoch, factor) -> None:
    schedule = LinearDecay(100, 100)
    assert schedule(400 * epoch, FACADES) == pytest.approx(factor, rel=1e-12)
    assert schedule(400 * epoch + 399, FACADES) == pytest.approx(factor, rel=1e-12)


def test_no_epoch_is_at_zero_and_later_ones_keep_the_last_factor() -> None:
    assert min(linear_decay(e, 100, 100) for e in range(200)) == pytest.approx(1 / 101)
    assert linear_decay(200, 100, 100) == linear_decay(5000, 100, 100) == pytest.approx(1 / 101)
    assert [linear_decay(e, 0, 1) for e in (0, 1)] == [0.5, 0.5]
    assert [linear_decay(e, 2, 0) for e in (0, 1, 9)] == [1, 1, 1]


def test_epochs_are_counted_as_the_loader_counts_them() -> None:
    """10 pictures by 4: two batches an epoch (2 pictures left out); 3 batches per step."""
    clock = DataClock(dataset_size=10, batch_size=4, steps=7, draws=3)
    # First batches of the steps: 0, 3, 6, 9, 12, 15, 18; two batches an epoch.
    assert [clock.epoch(step) for step in range(7)] == [0, 1, 3, 4, 6, 7, 9]
    assert clock.epochs == 11  # 21 batches
    assert DataClock(dataset_size=3, batch_size=8, steps=5).epoch(4) == 4


def test_loader_and_clock_agree() -> None:
    """An epoch never shows a picture twice: in the loader's batches, cut where the clock says."""
    size, batch, steps = 10, 3, 60
    clock = DataClock(size, batch, steps)
    images = TensorImages(torch.zeros(size, 1, 1, 1, dtype=torch.uint8), torch.arange(size))
    loader = BatchLoader(images, batch, draws=1, steps=steps, seed=0, task=0)
    shown: dict[int, list[int]] = {}
    for step in range(steps):
        shown.setdefault(clock.epoch(step), []).extend(loader[step][0]["y"].tolist())
    assert len(shown) == clock.epochs == 20
    assert all(len(set(rows)) == 9 == len(rows) for rows in shown.values())


def test_over_a_task_in_steps() -> None:
    """20 pictures by 4 are 5 steps an epoch; 25 steps are 5 epochs, 3 of them constant."""
    clock = DataClock(dataset_size=20, batch_size=4, steps=25)
    factors = [LinearDecayOverTask(0.5)(step, clock) for step in range(0, 25, 5)]
    assert factors == pytest.approx([1, 1, 1, 2 / 3, 1 / 3])
    short = DataClock(dataset_size=20, batch_size=4, steps=2)
    assert LinearDecayOverTask(0.5)(1, short) == 1  # a task within one epoch


def test_no_epochs_are_refused() -> None:
    with pytest.raises(ConfigError, match="constant_epochs=0 and decay_epochs=0"):
        LinearDecay(0, 0)
