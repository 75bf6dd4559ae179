"""The runner: for each task select, fit, consolidate, evaluate, save; and go on after a stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import Logger

from lgan.callbacks.base import TaskContext
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.errors import RunError
from lgan.files import load_tensors, save_tensors
from lgan.loggers import rewind
from lgan.methods.base import LifelongGAN
from lgan.results.record import RunRecord
from lgan.run_folder import RunFolder


@dataclass
class SequenceRunner:
    """Trains a method on a sequence of tasks.

    Args:
        method: what is trained.
        datamodule: set up; opens for one task at a time.
        make_trainer: `(callbacks=, logger=, default_root_dir=) -> Trainer`; a fresh one fits each
            task, so that strategy and optimizers are built on the parameters as they then are.
        folder: the run's folder.
        record: the run's record, written after every task.
        callbacks: Lightning callbacks; those with the hooks of `TaskCallback` hear of task borders.
        loggers: Lightning loggers, kept open over all tasks.
    """

    method: LifelongGAN
    datamodule: TaskSequenceDataModule
    make_trainer: Callable[..., L.Trainer]
    folder: RunFolder
    record: RunRecord
    callbacks: list[L.Callback] = field(default_factory=list)
    loggers: list[Logger] = field(default_factory=list)

    def run(self) -> None:
        """Train the tasks that are not finished yet."""
        start = self._restore()
        for task in range(start, self.datamodule.num_tasks):
            self._run_task(task)

    def _run_task(self, task: int) -> None:
        classes = [t.classes for t in self.datamodule.sequence.tasks]
        self.method.enter_task(task, classes, self.method.total_steps)
        self.datamodule.select(task, cumulative=self.method.cumulative_data)
        context = self._context(task)
        self._announce("on_task_start", context)
        began = time.perf_counter()
        self._fit(task)
        self.method.end_task(task)
        context.row |= {
            "task": task,
            "metrics": [{} for _ in range(task + 1)],
            "steps": self.method.step,
            "train_seconds": time.perf_counter() - began,
            **self.method.report(),
        }
        self._announce("on_task_end", context)
        self._save(task, context)

    def _fit(self, task: int) -> None:
        """Train one task; a checkpoint inside it is where training goes on."""
        trainer = self.make_trainer(
            callbacks=self.callbacks,
            logger=self.loggers,
            default_root_dir=self.folder.path,
            # Lightning would put a bar of its own in place of one that was left out.
            enable_progress_bar=any(isinstance(c, ProgressBar) for c in self.callbacks),
        )
        resume = self._checkpoint_inside(task)
        trainer.fit(self.method, datamodule=self.datamodule, ckpt_path=resume, weights_only=True)
        if trainer.interrupted or self.method.step < self.datamodule.steps:
            raise RunError(
                f"training stopped at task {task}, step {self.method.step} of "
                f"{self.datamodule.steps}; start the same command again to go on."
            )

    def _checkpoint_inside(self, task: int) -> str | None:
        """Return the checkpoint inside this task, if there is one, and cut the logs back to it."""
        if not self.folder.last.exists():
            rewind(self.loggers, self.method.total_steps)
            return None
        state = load_tensors(self.folder.last)["lgan"]
        mine = state["task"] == task
        rewind(self.loggers, state["total_steps"] if mine else self.method.total_steps)
        return str(self.folder.last) if mine else None

    def _restore(self) -> int:
        """Load the last finished task's state; return the index of the next task."""
        start = min(self.folder.finished_tasks(), self.datamodule.num_tasks)
        if start > len(self.record.rows):
            raise RunError(
                f"{self.folder.path} has {start} finished tasks but results.json has "
                f"{len(self.record.rows)} rows: it was altered; restore it or use another run_dir."
            )
        if start:
            self.method.load_border_state(load_tensors(self.folder.border(start - 1)))
        del self.record.rows[start:]
        return start

    def _save(self, task: int, context: TaskContext) -> None:
        """Write the row, then the state, then "complete": each file implies those before it."""
        self.record.references = context.references
        self.record.add_row(context.row)
        self.record.save(self.folder.path)
        save_tensors(self.folder.border(task), self._border_state())
        self.folder.last.unlink(missing_ok=True)
        if task + 1 == self.datamodule.num_tasks:
            self.record.status = "complete"
            self.record.save(self.folder.path)

    def _border_state(self) -> dict[str, Any]:
        data = self.datamodule
        return self.method.border_state() | {
            "image_shape": list(data.image_shape),
            "num_classes": data.num_classes,
            "class_names": list(data.class_names),
            "task_classes": [list(t.classes) for t in data.sequence.tasks],
        }

    def _context(self, task: int) -> TaskContext:
        return TaskContext(
            method=self.method,
            datamodule=self.datamodule,
            task=task,
            folder=self.folder.path,
            loggers=self.loggers,
            references=dict(self.record.references),
            earlier_rows=self.record.rows,
        )

    def _announce(self, event: str, context: TaskContext) -> None:
        for callback in self.callbacks:
            hook = getattr(callback, event, None)
            if hook is not None:
                hook(context)
