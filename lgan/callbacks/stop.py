"""Leaving between two steps when a signal has asked for it."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from lgan import distributed
from lgan.arguments import Count
from lgan.run import checkpoints, signals


class StopOnSignal(Checkpoint):
    """After a signal finish the step, write `folder`/last.ckpt and leave (see `lgan.run.signals`).

    Several ranks stop at the same step: they ask each other every `every` generator steps.
    """

    def __init__(self, folder: str | Path, every: Count = 10) -> None:
        self.path, self.every = Path(folder) / "last.ckpt", every

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:  # noqa: ANN401
        """Hear signals in place of Lightning, which has just set a handler of its own."""
        if (watch := signals.current()) is not None:
            watch.install()
            watch.train(True)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:  # noqa: ANN401
        """Leave, if a signal has come to any rank."""
        watch, step = signals.current(), pl_module.step
        alone, last = distributed.world() == 1, step >= trainer.num_training_batches
        if watch is None or not (alone or last or step % self.every == 0):
            return
        if signum := distributed.largest(watch.received, pl_module.device):
            checkpoints.write(trainer, self.path, pl_module)
            raise signals.StopBySignal(signum, f"at task {pl_module.task_index}, step {step}")

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:  # noqa: ANN401
        """Steps are over: from now on a signal ends the run at once."""
        if (watch := signals.current()) is not None:
            watch.train(False)

    def on_exception(self, trainer: L.Trainer, pl_module: Any, exception: BaseException) -> None:  # noqa: ANN401
        """Training is over in another way."""
        if not isinstance(exception, signals.StopBySignal):
            self.on_train_end(trainer, pl_module)
