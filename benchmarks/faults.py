"""Faults that happen inside a training process, given to `lgan-train` as callbacks.

    lgan-train ... +callbacks.fault._target_=benchmarks.faults.FaultAt +callbacks.fault.task=1 \
        +callbacks.fault.step=7 +callbacks.fault.action=kill +callbacks.fault.marker=FILE

The callbacks are not part of what identifies a run: it goes on without them. An entry that is added
on the command line stands last, so that it hears of everything after the others, but before a
checkpoint of the same step is written.
"""

from __future__ import annotations

import math
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import lightning as L  # noqa: N812  (Lightning's own convention)
import torch

from lgan import distributed
from lgan.callbacks.base import TaskCallback, TaskContext
from lgan.data.ledger import Reader
from lgan.errors import ConfigError
from lgan.metrics.evaluator import Evaluator

TRIGGERS = ("task_start", "before_step", "after_step", "fit_end", "task_end")
RENAMES = ("replace", "rename", "link")
"""The functions of `os` that give a file its final name; `pathlib` calls them too."""


class Trace(L.Callback):
    """Append a line "task step time" to a file after every generator step, from rank 0.

    Args:
        path: the file; lines survive a kill, as each is one write.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:  # noqa: ANN401
        """Note the step that was just taken."""
        if trainer.global_rank == 0:
            line = f"{pl_module.task_index} {pl_module.step} {time.monotonic()}\n"
            with self.path.open("a") as file:
                file.write(line)


class FaultAt(TaskCallback):
    """Do something bad to this process, once, as soon as a task and step are reached.

    Actions:
        mark: write the process id into `marker`, and go on: somebody else acts.
        kill: SIGKILL.
        cut: SIGXFSZ, which nothing catches, in the middle of the next write beyond `limit` bytes.
        full: that write fails, as it does on a full disk.
        before_rename, after_rename: SIGKILL around the next renaming onto a file called `file`.
        before_removal: SIGKILL before the next removal of a file that matches `file`.
        evaluation: SIGKILL in the middle of the next evaluation.
        poison: the first trained weight becomes NaN.

    Args:
        task: index of the task.
        step: generator steps taken in it; a later moment counts as reached too.
        action: one of the above.
        marker: is written when it happens; while it exists, nothing happens any more. Rank r of
            several writes `marker.r` beside it.
        trigger: task_start, before_step, after_step, fit_end (before consolidation) or task_end
            (after evaluation).
        rank: the process that is hit; all of them write their marker.
        file: of the actions that wait for a renaming or a removal.
        limit: bytes of the actions that wait for a write.

    Raises:
        ConfigError: action or trigger is unknown.
    """

    # Of an extended run, what measures is told of its parent's borders too.
    reads: ClassVar[Reader] = "evaluation"

    def __init__(
        self,
        task: int,
        step: int,
        action: str,
        marker: str | Path,
        trigger: str = "after_step",
        rank: int = 0,
        file: str = "last.ckpt",
        limit: int = 20_000,
    ) -> None:
        if action not in ACTIONS or trigger not in TRIGGERS:
            raise ConfigError(
                f"callbacks: a fault with action={action}, trigger={trigger} is unknown; actions: "
                f"{', '.join(ACTIONS)}; triggers: {', '.join(TRIGGERS)}."
            )
        self.at, self.action, self.trigger = (task, step), action, trigger
        self.marker, self.rank, self.file, self.limit = Path(marker), rank, file, limit
        self._method: Any = None

    def on_task_start(self, context: TaskContext) -> None:
        """Look whether a task's start is the place."""
        self._happen("task_start", context.method, 0, context.task)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:  # noqa: ANN401
        """Look whether the step that begins is the one."""
        self._happen("before_step", pl_module, pl_module.step + 1, pl_module.task_index)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:  # noqa: ANN401
        """Look whether the step that ended is the one; before its checkpoint."""
        self._happen("after_step", pl_module, pl_module.step, pl_module.task_index)

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:  # noqa: ANN401
        """Look whether the place is a task's last moment before consolidation."""
        self._happen("fit_end", pl_module, pl_module.step, pl_module.task_index)

    def on_task_end(self, context: TaskContext) -> None:
        """Look whether the place is before the border is saved."""
        method: Any = context.method
        self._happen("task_end", method, method.step, context.task)

    def _happen(self, trigger: str, method: Any, step: int, task: int) -> None:  # noqa: ANN401
        own = self.marker.with_name(f"{self.marker.name}.{distributed.rank()}")
        if trigger != self.trigger or (task, step) < self.at or own.exists():
            return
        temporary = own.with_name(f"{own.name}.tmp")
        temporary.write_text(str(os.getpid()))
        os.replace(temporary, own)
        if distributed.rank() == self.rank:
            self._method = method
            ACTIONS[self.action](self)


def _mark(fault: FaultAt) -> None:
    """Do nothing: the marker is written."""


def die(*_: Any) -> None:  # noqa: ANN401
    """Kill this very process, beyond what Python could catch."""
    os.kill(os.getpid(), signal.SIGKILL)


def _limit(fault: FaultAt) -> None:
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (fault.limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    )


def _cut(fault: FaultAt) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, and write() fails instead
    _limit(fault)


def _around_rename(before: bool) -> Callable[[FaultAt], None]:
    """Return an action that lets the next renaming onto the fault's file be the last deed."""

    def act(fault: FaultAt) -> None:
        def dying(original: Callable[..., None]) -> Callable[..., None]:
            def rename(source: Any, target: Any, **own: Any) -> None:  # noqa: ANN401
                hit = Path(target).name == fault.file
                if hit and before:
                    die()
                original(source, target, **own)
                if hit:
                    die()

            return rename

        for name in RENAMES:
            setattr(os, name, dying(getattr(os, name)))

    return act


def _removal(fault: FaultAt) -> None:
    unlink = os.unlink

    def dying(path: Any, **own: Any) -> None:  # noqa: ANN401
        if Path(path).match(fault.file):
            die()
        unlink(path, **own)

    os.unlink = dying


def _evaluation(fault: FaultAt) -> None:
    """Kill at the second call of a sampler or classifier, or at the end if there is one only."""
    evaluate = Evaluator.evaluate

    def dying(self: Evaluator, *parts: Any, **own: Any) -> None:  # noqa: ANN401
        watched: list[Any] = [_second_kills(p) if callable(p) else p for p in parts]
        evaluate(self, *watched, **own)
        die()

    Evaluator.evaluate = dying  # type: ignore[method-assign, assignment]


def _second_kills(function: Callable[..., Any]) -> Callable[..., Any]:
    calls = 0

    def counting(*args: Any) -> Any:  # noqa: ANN401
        nonlocal calls
        calls += 1
        if calls == 2:
            die()
        return function(*args)

    return counting


@torch.no_grad()
def _poison(fault: FaultAt) -> None:
    # Frozen parameters stay as they are: only what is trained can explode.
    trained = (p for net in fault._method.players.values() for p in net.parameters())
    next(p for p in trained if p.requires_grad).view(-1)[0] = math.nan


ACTIONS: dict[str, Callable[[FaultAt], None]] = {
    "mark": _mark,
    "kill": die,
    "cut": _cut,
    "full": _limit,
    "before_rename": _around_rename(True),
    "after_rename": _around_rename(False),
    "before_removal": _removal,
    "evaluation": _evaluation,
    "poison": _poison,
}
