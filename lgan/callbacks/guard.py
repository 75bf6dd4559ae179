"""Stopping when training has diverged."""

from __future__ import annotations

from typing import Any

import lightning as L

from lgan.callbacks.base import TaskCallback


class NaNGuard(TaskCallback):
    """Raise `TrainingDivergedError` with task and step when a loss is no longer finite.

    What was saved before stays: neither a checkpoint nor a border is written from such a state.
    `on_nan=rewind` takes the error as a reason to go back (`lgan.rewind`).

    Args:
        every: generator steps between two looks; each look waits for the accelerator once.
    """

    def __init__(self, every: int = 10) -> None:
        self.every = every

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:  # noqa: ANN401
        """Look at the losses every few steps."""
        if pl_module.step % self.every == 0:
            pl_module.check_finite()

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:  # noqa: ANN401
        """Look at losses and weights before anything is consolidated."""
        pl_module.check_finite(weights=True)
