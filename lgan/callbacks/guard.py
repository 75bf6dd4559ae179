"""Stopping when training has diverged."""

import math
from typing import Any

import lightning as L

from lgan.arguments import Count, Positive
from lgan.callbacks.base import TaskCallback


class NaNGuard(TaskCallback):
    """Raise `TrainingDivergedError` with task and step when a loss explodes or is not finite.

    It looks every `every` generator steps, waiting for the accelerator once, and before anything is
    saved; a `limit` of null is none. With `on_nan=rewind` runs go back (`lgan.run.rewinds`).
    """

    def __init__(self, every: Count = 10, limit: Positive | None = 1e12) -> None:
        self.every, self.limit = every, math.inf if limit is None else float(limit)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:  # noqa: ANN401
        """Look at the losses every few steps."""
        if pl_module.step % self.every == 0:
            pl_module.check_finite(limit=self.limit)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:  # noqa: ANN401
        """Look at losses and weights before anything is consolidated."""
        pl_module.check_finite(weights=True, limit=self.limit)
