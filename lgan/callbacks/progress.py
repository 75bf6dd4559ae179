"""How far the whole sequence is: one bar on a terminal, elsewhere a line now and then."""

import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from lgan import distributed
from lgan.arguments import Count
from lgan.callbacks.base import TaskCallback, TaskContext
from lgan.progress import Lines, bar, duration

_TIMED, _LEAST = 10.0, 60.0  # seconds of first steps that are timed; of a run worth foretelling
_APART = 5.0  # seconds between two lines at borders


class SequenceProgress(ProgressBar, TaskCallback):
    """Show task, step and time left over all tasks in a single bar, or in lines.

    It moves every `every` generator steps: at each it costs up to a quarter of a small one. The
    run's own first steps are timed to say once how long all will take.
    """

    def __init__(self, every: Count = 20) -> None:
        super().__init__()
        self.every, self._on = every, True
        self._bar: tqdm | Lines | None = None
        self._context: TaskContext | None = None
        self._first: tuple[int, float] | None = None  # step and time where the task's timing began
        self._pace = 0.0  # seconds of a step
        self._borders: list[float] = []  # seconds that borders took
        self._border = self._line = 0.0  # when the last one began; when its line was printed

    def disable(self) -> None:
        """Show nothing (Lightning calls this on every rank but the first)."""
        self._on = False

    def enable(self) -> None:
        """Show the bar."""
        self._on = True

    def on_task_start(self, context: TaskContext) -> None:
        """Open the bar at the first task, and name the task."""
        data, hidden = context.datamodule, not (self._on and distributed.is_main())
        tasks = data.num_tasks
        # Of later tasks it is not known yet whether the method takes further steps.
        steps = context.step + data.info.all_steps + (tasks - 1 - context.task) * data.steps
        if self._bar is None:
            self._bar = bar("", steps, initial=context.step, hidden=hidden)
            self._line = time.monotonic()
        self._bar.total = steps
        if self._border:
            self._borders.append(time.monotonic() - self._border)
        self._context, self._first = context, None
        classes = ",".join(data.class_names[c] for c in data.sequence.tasks[context.task].classes)
        title = f"{context.method.name}: task {context.task} of 0-{tasks - 1} ({classes[:24]})"
        self._bar.set_description(title)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:  # noqa: ANN401
        """Move the bar."""
        if self._first is None:  # behind the first step, which is slower
            self._first = pl_module.total_steps, time.monotonic()
            if self._bar is not None:  # a run that goes on within a task has made none of these
                before = max(pl_module.total_steps - 1 - self._bar.n, 0)
                self._bar.n, self._bar.initial = self._bar.n + before, self._bar.initial + before
        if pl_module.step % self.every == 0:
            self.on_train_end(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:  # noqa: ANN401
        """Move the bar to where training is."""
        if self._bar is None:
            return
        read = pl_module.read_losses()
        losses = {name[0].upper(): f"{x:.3g}" for name, x in read.items()}
        self._bar.set_postfix(losses, refresh=False)
        self._time(pl_module.total_steps, self._bar.total)
        self._bar.update(pl_module.total_steps - self._bar.n)

    def on_task_end(self, context: TaskContext) -> None:
        """Say that the border has come; close the bar after the last task."""
        self._border = time.monotonic()
        if self._bar is None:
            return
        if isinstance(self._bar, Lines) and self._border - self._line >= _APART:
            self._bar.say("learnt, now it is measured", self.left())
            self._line = self._border
        if context.task + 1 == context.datamodule.num_tasks:
            self._bar.close()

    def left(self) -> float:
        """Return the seconds that all will still take, borders by the mean of those so far."""
        assert self._bar is not None and self._context is not None
        border = sum(self._borders) / max(len(self._borders), 1)
        data = self._context.datamodule
        return (self._bar.total - self._bar.n) * self._pace + border * (
            data.num_tasks - self._context.task
        )

    def _time(self, step: int, steps: int) -> None:
        """Take the pace of the task so far, and say once how long the whole run will take."""
        if self._first is None or step <= self._first[0] or self._context is None:
            return
        took = time.monotonic() - self._first[1]
        self._pace = took / (step - self._first[0])
        summary = self._context.summary
        if took < _TIMED or "expected_seconds" in summary:
            return
        summary["expected_seconds"] = expected = self._pace * steps
        if expected >= _LEAST and self._on and distributed.is_main():
            tqdm.write(
                f"expected: {duration(expected)} of training at {self._pace:.2g} s a step (of the "
                f"run's own first steps), and at each border the time to measure and draw",
                file=sys.stderr,
            )
