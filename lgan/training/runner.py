"""The runner: task after task, and going on after a stop.

`_run_task` is the border, in the order in which it happens. A run is resumed in `_restore` (from
the last finished task) and `_fit` (from a checkpoint inside a task).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import Logger

from lgan import distributed
from lgan.arguments import NOTHING
from lgan.callbacks.base import TaskCallback, TaskContext, announce
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.ledger import breaches
from lgan.errors import RunError, TrainingDivergedError, warn
from lgan.methods.base import LifelongGAN
from lgan.run import checkpoints
from lgan.run.borders import Keep, Listed, collect, load_border, save_border, thin_out
from lgan.run.folder import RunFolder
from lgan.run.loggers import over_tasks, rewind
from lgan.run.record import RunRecord
from lgan.training.logged import log_border, log_end


@dataclass
class SequenceRunner:
    """Trains a method on a sequence of tasks."""

    method: LifelongGAN
    # `TaskCallback`s hear of task borders, after the callbacks that the method brings itself.
    callbacks: list[L.Callback]
    datamodule: TaskSequenceDataModule
    # `(callbacks=, logger=, default_root_dir=) -> Trainer`: a fresh one fits each task, so that
    # strategy and optimizers are built on the parameters as they then are.
    make_trainer: Callable[..., L.Trainer]
    folder: RunFolder
    record: RunRecord
    loggers: list[Logger] = field(default_factory=list)  # kept open over all tasks
    keep: Keep = "all"
    _listed: Listed | None = field(default=None, init=False)  # of the border saved last

    def run(self) -> None:
        """Train the tasks that are not finished yet."""
        start = distributed.decided(self._start)
        self.method.stamp = self.record.stamp
        del self.record.rows[start:]
        ledger = self.datamodule.ledger
        ledger.entries = self.record.ledger
        self._measure_again()
        self._restore(start)
        for task in range(start, self.datamodule.num_tasks):
            with ledger.training(task):
                self._run_task(task)
        # Not in `_save`: a process may have been killed between a last border and this.
        if distributed.is_main():
            checkpoints.clear(self.folder)
        self.record.status = "complete"
        self.save_record()
        log_end(self.loggers, self.record, self.folder, self.method.total_steps)

    def go_back(self, error: TrainingDivergedError, rate_factor: float) -> None:
        """Note that training goes back to the last checkpoint of the task, or to its beginning.

        The learning rate is multiplied by `rate_factor` from there on.
        """
        task, at_step = self.method.task_index, self.method.step
        found = distributed.decided(lambda: self._found(task))
        step = found.step if found else 0
        note = {"task": task, "from_step": step, "at_step": at_step, "rate_factor": rate_factor}
        self.record.rewinds.append({**note, "reason": str(error)})
        self.save_record()
        if distributed.is_main():
            warn(
                f"task {task} diverged at step {at_step} and goes back to step {step}, with other "
                f"noise and batches and {rate_factor:g} times the learning rate."
            )

    def _run_task(self, task: int) -> None:
        """Train a task, from the border before it to the one behind it."""
        method = self.method
        trainer = self._make_trainer()
        own, others = method.configure_callbacks(), self.callbacks
        # Lightning takes the networks to the device for the fit only; borders need it too.
        method.to(trainer.strategy.root_device)

        info = self.datamodule.open(task, method.cumulative_data, method.further_steps)
        context = self._context(method, task)
        announce("on_task_start", [*own, *others], context)  # make room, then prepare
        method.begin_task(info)

        self._fit(trainer, task)
        method.to(trainer.strategy.root_device)
        distributed.synchronise_buffers(method)
        distributed.check_equal(method, f"after task {task}")

        method.end_task(info)
        announce("on_task_end", own, context)  # consolidate
        context.record(steps=method.step, **method.seconds, **method.report())
        with over_tasks(self.loggers, task):
            announce("on_task_end", others, context)  # measure and draw
            self._save(task, context)

    def _make_trainer(self) -> L.Trainer:
        return self.make_trainer(
            callbacks=self.callbacks,
            logger=self.loggers,
            default_root_dir=self.folder.path,
            # Lightning would put a bar of its own in place of one that was left out.
            enable_progress_bar=any(isinstance(c, ProgressBar) for c in self.callbacks),
        )

    def _context(
        self, method: LifelongGAN, task: int, former: Mapping[str, Any] = NOTHING
    ) -> TaskContext:
        record = self.record
        return TaskContext(
            *(method, self.datamodule, task, self.folder.path, self.loggers),
            references=dict(record.references),
            columns=list(record.columns),
            earlier_rows=record.rows,
            former=dict(former),
            summary=record.summary,
        )

    def _fit(self, trainer: L.Trainer, task: int) -> None:
        """Train one task, on from a checkpoint inside it, to which the logs are cut back."""
        found = distributed.decided(lambda: self._found(task))
        rewind(self.loggers, found.total_steps if found else self.method.total_steps)
        resume = str(found.path) if found else None
        trainer.fit(self.method, datamodule=self.datamodule, ckpt_path=resume, weights_only=True)
        steps = self.datamodule.info.all_steps
        if trainer.interrupted or self.method.step < steps:
            raise RunError(
                f"training stopped at task {task}, step {self.method.step} of "
                f"{steps}; start the same command again to go on."
            )

    def _found(self, task: int) -> checkpoints.Inside | None:
        return checkpoints.find(
            self.folder, task, self.datamodule.info.all_steps, self.record.stamp, self._say
        )

    def _measure_again(self) -> None:
        """Give each adopted border its row, so that all rows are measured by one yardstick."""
        record = self.record
        measuring = [c for c in self.callbacks if isinstance(c, TaskCallback) and c.reads]
        for task in range(len(record.rows), record.adopted):
            assert record.parent is not None
            path, former = self.folder.border(task), record.parent["rows"][task]
            if not path.exists():
                self._say(
                    f"the border of task {task} was not kept by {record.parent['run']}, so nothing "
                    "is measured of it again."
                )
                record.add_row({**former, "metrics": [{}] * (task + 1), "overall": {}})
                continue
            method = self.method
            checkpoints.restore(method, path, load_border(path))
            method.task_classes = [task.classes for task in self.datamodule.tasks]
            method.to(self._make_trainer().strategy.root_device)
            rewind(self.loggers, method.total_steps)
            context = self._context(method, task, former)
            with self.datamodule.ledger.training(task), over_tasks(self.loggers, task):
                announce("on_task_start", measuring, context)
                announce("on_task_end", measuring, context)
                self._add_row(context)

    def _restore(self, start: int) -> None:
        """Load the state after the last of so many finished tasks."""
        if start:
            path = self.folder.border(start - 1)
            checkpoints.restore(self.method, path, load_border(path))
            if distributed.is_main():  # a process may have been killed before it came to that
                older = [task for task in self.folder.borders() if task < start]
                thin_out(self.folder.checkpoints, older, self.keep)

    def _start(self) -> int:
        """Return the task to go on with, as the disk says; only rank 0 looks."""
        checkpoints.remove_leftovers(self.folder)
        collect(self.folder.checkpoints)
        most, record = self.datamodule.num_tasks, self.record
        rows = max(len(record.rows), record.adopted)
        start = checkpoints.whole_tasks(self.folder, most, rows, record.stamp, self._say)
        if start < record.adopted:
            raise RunError(
                f"{self.folder.path} has lost the border of task {record.adopted - 1}, adopted "
                f"from {record.parent and record.parent['run']}: restore it from a copy, or give "
                "lgan-extend another run_dir."
            )
        return start

    def _say(self, sentence: str) -> None:
        warn(sentence)
        self.record.events.append(sentence)
        self.save_record()

    def _save(self, task: int, context: TaskContext) -> None:
        """Write the row, then the state, then "complete": each file implies those before it."""
        self._add_row(context)
        data = self.datamodule
        state = self.method.border_state() | {
            "image_shape": list(data.image_shape),
            "num_classes": self.method.first_classes,
            **data.plan,
        }
        if distributed.is_main():
            self._listed = save_border(self.folder.border(task), state, self._listed)
            thin_out(self.folder.checkpoints, self.folder.borders(), self.keep)
            checkpoints.clear(self.folder)
        distributed.barrier()

    def _add_row(self, context: TaskContext) -> None:
        self.record.references, self.record.columns = context.references, context.columns
        self.record.add_row(context.row)
        self.save_record()
        log_border(self.loggers, self.record, self.folder, context.step)

    def save_record(self) -> None:
        """Write results.json; only rank 0 does."""
        if distributed.is_main():
            self.record.declare(breaches(self.record.ledger))
            self.record.save(self.folder.path)
