"""Checkpoints inside a task."""

import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from lgan import distributed
from lgan.arguments import Fraction, Whole
from lgan.run import checkpoints

DEAR = 1.0  # seconds from which on a checkpoint's cost is looked at; below, `every` alone decides


class StepCheckpoint(Checkpoint):
    """Write `last.ckpt` every few generator steps, and after a task's last one, atomically.

    The one before it stays as `previous.ckpt`. As one of Lightning's `Checkpoint`s it runs after
    every other callback and saves what they changed; ModelCheckpoint counts optimizer steps, and is
    not atomic across file systems. `every` of 0 is for none. `share` is the most of the time that
    writing may take: of checkpoints of a second or more, as many are passed over; null: none.
    """

    def __init__(
        self, folder: str | Path, every: Whole = 500, share: Fraction | None = 0.02
    ) -> None:
        self.path, self.every, self.share = Path(folder) / "last.ckpt", every, share
        self._written, self._took = 0.0, 0.0

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:  # noqa: ANN401
        """Save, if it is time and the weights are finite."""
        step = pl_module.step
        last = step >= trainer.num_training_batches
        if self.every and (last or (step % self.every == 0 and self._affordable())):
            began = time.monotonic()
            checkpoints.write(trainer, self.path, pl_module)
            self._written = time.monotonic()
            self._took = self._written - began

    def _affordable(self) -> bool:
        passed = time.monotonic() - self._written
        return distributed.from_main(
            self.share is None or self._took < DEAR or passed >= self._took / self.share
        )
