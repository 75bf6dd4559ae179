"""What checkpoints inside a task cost: one write against the steps between two."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L  # noqa: N812  (Lightning's own convention)

from benchmarks.common import Row, compose
from benchmarks.steps import OFF, fit
from lgan.callbacks.base import TaskContext
from lgan.callbacks.checkpoint import StepCheckpoint
from lgan.reports.paper import quote
from lgan.training import build

SHARE = 0.02
"""Of training time, that checkpoints may take at most."""


class TimedCheckpoint(StepCheckpoint):
    """Write a checkpoint after every step, and time steps and writes by turns.

    Args:
        folder: where the checkpoints go; nothing of it is kept.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, every=1, share=None)
        self.steps: list[float] = []
        self.writes: list[float] = []
        self._since: float | None = None

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *rest: Any) -> None:  # noqa: ANN401
        """Write, and time it; the first step and write warm up."""
        now = time.perf_counter()
        super().on_train_batch_end(trainer, pl_module, *rest)
        end = time.perf_counter()
        if self._since is not None:
            self.steps.append(now - self._since)
            self.writes.append(end - now)
        self._since = end


def measure(overrides: list[str], size: int, splits: str, turns: int) -> tuple[float, float, float]:
    """Return seconds of a step and of a write, and the checkpoint's size in MB.

    Args:
        overrides: choose data set, networks and method.
        size: height and width of the pictures.
        splits: the function that makes the pictures.
        turns: steps and writes that are timed.
    """
    off = [f"callbacks.{key}=null" for key in (*OFF, "progress", "checkpoint", "stop")]
    with tempfile.TemporaryDirectory() as folder:
        own = [*overrides, *off, f"training.steps={turns + 1}", f"paths.runs={quote(folder)}"]
        config = compose(own, size, 128)
        config.data.splits._target_ = splits
        datamodule = build.build_datamodule(config)
        method = build.build_method(config, datamodule.image_shape, datamodule.num_classes)
        datamodule.open(0)
        watch = TimedCheckpoint(Path(folder))
        context = TaskContext(
            method, datamodule, 0, Path(folder), build.build_entries(config, "logger")
        )
        fit(method, datamodule, context, build.build_entries(config, "callbacks"), watch, config)
        megabytes = watch.path.stat().st_size / 1e6
    return median(watch.steps), median(watch.writes), megabytes


def checkpoint_rows(quick: bool) -> list[Row]:
    """Measure the share of training time that checkpoints take, at the default interval."""
    turns = 3 if quick else 8
    every = compose([], 32, 1).callbacks.checkpoint.every
    pictures, pairs = "benchmarks.common.synthetic", "benchmarks.translation.synthetic_pairs"
    translator = ["data=photos", "method=piggyback_gan"]
    unet256 = [*translator, "network=unet256", "training.batch_size=1",
               "data.augmentation.load_size=286"]  # fmt: skip
    kinds = {
        "MeRGAN, MNIST": (["data=mnist", "method=mergan_jtr"], 32, pictures),
        "Piggyback GAN, U-Net 64": (translator, 64, pairs),
        "Piggyback GAN, U-Net 256, batch 1": (unet256, 256, pairs),
    }
    rows = []
    for name, (overrides, size, splits) in kinds.items():
        step, write, megabytes = measure(overrides, size, splits, turns)
        share = write / (every * step)
        measured = (
            f"{1e3 * write:.0f} ms for {megabytes:.0f} MB, every {every} steps of "
            f"{1e3 * step:.0f} ms; medians of {turns}"
        )
        rows.append(Row(name, measured, share, f"<= {SHARE}", share <= SHARE))
    return rows
