"""Checkpoints inside a task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from lgan import checkpoints
from lgan.errors import ConfigError


class StepCheckpoint(Checkpoint):
    """Write `last.ckpt` every few generator steps, and after a task's last one, atomically.

    The one before it stays as `previous.ckpt`. The one after the last step spares a run that is
    killed while it consolidates or evaluates all of the task's training.

    A subclass of Lightning's `Checkpoint`, so that it runs after every other callback and saves
    what they changed. Lightning's own ModelCheckpoint counts optimizer steps, and writes through
    the system's temporary folder, which is not atomic across file systems.

    Args:
        folder: where `last.ckpt` goes.
        every: generator steps between two checkpoints; 0 for none inside a task.
    """

    def __init__(self, folder: str | Path, every: int = 500) -> None:
        if every < 0:
            raise ConfigError(f"callbacks.checkpoint.every={every} is negative; 0 switches it off.")
        self.path, self.every = Path(folder) / "last.ckpt", every

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:  # noqa: ANN401
        """Save, if it is time and the weights are finite."""
        step = pl_module.step
        last = step >= trainer.num_training_batches
        if self.every and (last or step % self.every == 0):
            checkpoints.write(trainer, self.path, pl_module)
