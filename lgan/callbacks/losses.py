"""Logging what happens inside a task."""

from typing import Any

import lightning as L
import torch

from lgan import distributed
from lgan.arguments import Count
from lgan.callbacks.base import TaskCallback


class LogLosses(TaskCallback):
    """Log each player's mean loss over the global batch, every `every` generator steps.

    Not by `self.log`: its step is each Trainer's own, of optimizers, and it costs a millisecond.
    """

    def __init__(self, every: Count = 50) -> None:
        self.every = every

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:  # noqa: ANN401
        """Log the losses of this step."""
        if pl_module.step % self.every:
            return
        names = [f"loss/{name}" for name in pl_module.losses]
        losses = distributed.total_of(torch.stack([*pl_module.losses.values()]))
        numbers = dict(zip(names, (losses / distributed.world()).tolist(), strict=True))
        numbers |= {"task/index": pl_module.task_index, "task/step": pl_module.step}
        for logger in trainer.loggers:
            logger.log_metrics(numbers, step=pl_module.total_steps)
