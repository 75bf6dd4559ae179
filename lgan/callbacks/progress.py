"""One progress bar for the whole sequence."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm.auto import tqdm

from lgan import distributed
from lgan.arguments import Count
from lgan.callbacks.base import TaskContext


class SequenceProgress(ProgressBar):
    """Show task, step and time left over all tasks in a single bar.

    It moves every `every` generator steps: at each it costs up to a quarter of a small one.
    """

    def __init__(self, every: Count = 20) -> None:
        super().__init__()
        self.every, self._on = every, True
        self._bar: tqdm | None = None

    def disable(self) -> None:
        """Show nothing (Lightning calls this on every rank but the first)."""
        self._on = False

    def enable(self) -> None:
        """Show the bar."""
        self._on = True

    def on_task_start(self, context: TaskContext) -> None:
        """Open the bar at the first task, and name the task."""
        data, hidden = context.datamodule, not (self._on and distributed.is_main())
        tasks, steps = data.num_tasks, data.num_tasks * data.steps
        if self._bar is None:
            self._bar = tqdm(total=steps, initial=context.step, unit="step", disable=hidden)
        classes = ",".join(data.class_names[c] for c in data.sequence.tasks[context.task].classes)
        title = f"{context.method.name}: task {context.task} of 0-{tasks - 1} ({classes[:24]})"
        self._bar.set_description(title)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:  # noqa: ANN401
        """Move the bar."""
        if pl_module.step % self.every == 0:
            self.on_train_end(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:  # noqa: ANN401
        """Move the bar to where training is."""
        if self._bar is not None:
            read = pl_module.read_losses()
            losses = {name[0].upper(): f"{x:.3g}" for name, x in read.items()}
            self._bar.set_postfix(losses, refresh=False)
            self._bar.update(pl_module.total_steps - self._bar.n)

    def on_task_end(self, context: TaskContext) -> None:
        """Close the bar after the last task."""
        if self._bar is not None and context.task + 1 == context.datamodule.num_tasks:
            self._bar.close()
