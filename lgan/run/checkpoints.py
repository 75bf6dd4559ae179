"""Checkpoints inside a task: written, the one before kept, and the newest whole one found."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from lgan import distributed
from lgan.errors import DamagedFileError, RunError
from lgan.files import discard, disk_errors, load_tensors, replace_durably, seal
from lgan.run.borders import Check, load_border, set_damaged_aside
from lgan.run.folder import RunFolder
from lgan.run.identity import Stamp, check_stamp

Say = Callable[[str], None]
BORDER = ("method", "structure", "state", "total_steps", "image_shape", "num_classes",
          "task_classes")  # fmt: skip
"""What a border file has to hold."""


class Streamed(TorchCheckpointIO):
    """Write a checkpoint to its place; Lightning copies it, in memory and the temporary folder."""

    def save_checkpoint(self, checkpoint: dict, path: str | Path, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Write the file, and its folder if need be."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with Path(path).open("wb") as file:  # which says, as torch does not, what a disk refuses
            torch.save(checkpoint, file)


@dataclass
class Inside:
    """A whole checkpoint, `step` generator steps into a task and `total_steps` into the run."""

    path: Path
    step: int
    total_steps: int


def write(trainer: L.Trainer, last: Path, method: Any) -> None:  # noqa: ANN401
    """Write a sealed checkpoint; the former one becomes `previous.ckpt`. All ranks call it.

    At every moment at least one of the two is whole, or there was none before. Nothing is written
    if a loss or weight is not finite (`TrainingDivergedError`).
    """
    method.check_finite(weights=True)
    temporary = last.with_name(f"{last.name}.tmp")
    try:
        with disk_errors(last):
            trainer.strategy.checkpoint_io = Streamed()
            trainer.save_checkpoint(temporary, weights_only=False)
            if distributed.is_main():
                seal(temporary)
                if last.exists():
                    os.replace(last, previous(last))
                replace_durably(temporary, last)
    finally:
        if distributed.is_main():
            discard(temporary)


def previous(last: Path) -> Path:
    """Return where the checkpoint before the last one is kept."""
    return last.with_name("previous.ckpt")


def find(folder: RunFolder, task: int, steps: int, stamp: Stamp, say: Say) -> Inside | None:
    """Return the newest whole checkpoint inside a task, if there is one; other tasks' don't count.

    The task has `steps` steps, the run's files carry `stamp`; another run's are refused. `say`
    hears a sentence about each file that is damaged; the file is renamed, not removed.
    """
    for path in (folder.last, previous(folder.last)):
        then = f"task {task} goes on from the checkpoint before it"
        whole = _whole(path, say, then) if path.exists() else None
        if whole is None:
            continue
        state = whole["lgan"]
        check_stamp(path, state, stamp)
        found = [state.get(key) for key in ("task", "step", "total_steps")]
        if not all(type(n) is int and n >= 0 for n in found) or (
            state["task"] == task and not state["step"] <= min(steps, state["total_steps"])
        ):
            raise RunError(
                f"{path} says task {found[0]}, step {found[1]}, step {found[2]} of the run, which "
                f"cannot be where a task has {steps} steps: it was altered; remove or restore it."
            )
        if state["task"] == task:
            return Inside(path, state["step"], state["total_steps"])
    return None


def whole_tasks(folder: RunFolder, most: int, rows: int, stamp: Stamp, say: Say) -> int:
    """Return from how many finished tasks training can go on: the newest whole border has all.

    There are `most` tasks in the sequence, of which the record has `rows`, with too few borders for
    which the run is refused; `stamp` and `say` are as for `find`.
    """
    start = 0
    for task in reversed([task for task in folder.borders() if task < most]):
        path = folder.border(task)
        check = partial(check_border, path, task, stamp)
        if _whole(path, say, f"task {task} is trained again", check) is not None:
            start = task + 1
            break
    damaged = len(list(folder.checkpoints.glob("task*.damaged*")))
    # A row is written before its border: one more is no wonder.
    if rows - start > 1 + damaged or start > rows:
        raise RunError(
            f"{folder.path} has borders of {start} finished tasks but results.json has {rows} "
            "rows: it was altered; restore it or use another run_dir."
        )
    return start


def check_border(path: Path, task: int, stamp: Stamp, content: dict[str, Any]) -> None:
    """Refuse a border file that is of another task or run, or lacks what a border has."""
    missing = [key for key in BORDER if key not in content]
    if missing or content.get("task") != task:
        lacks = f"lacks {', '.join(missing)}" if missing else f"is of task {content.get('task')}"
        raise RunError(
            f"{path} should be the border of task {task} and {lacks}: it was exchanged or altered; "
            "restore it from a copy."
        )
    check_stamp(path, content, stamp)


def restore(method: Any, path: Path, content: dict[str, Any]) -> None:  # noqa: ANN401
    """Load a border file's content into a method; refuse one that does not fit."""
    try:
        method.load_border_state(content)
    except RunError as error:
        raise RunError(f"{path}: {error} It was exchanged or altered.") from error
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise RunError(
            f"{path} does not fit method={method.name}: {' '.join(str(error).split())[:300]}; it "
            "was exchanged or altered, restore it from a copy."
        ) from error


def _whole(path: Path, say: Say, then: str, check: Check | None = None) -> dict[str, Any] | None:
    """Return a file's content or rename a damaged one to `*.damaged[N]`; `check` is for borders."""
    content: Any = None
    with suppress(DamagedFileError):
        content = load_border(path, check) if check else load_tensors(path)
    if isinstance(content, dict) and (check or "lgan" in content):
        return content
    names = (path.with_name(f"{path.name}.damaged{n}") for n in chain([""], count(2)))
    aside = next(name for name in names if not name.exists())
    with disk_errors(path):
        os.replace(path, aside)
    tensors = set_damaged_aside(path.parent) if check else []
    of = f" (of its tensors {', '.join(tensors)})" if tensors else ""
    say(f"{path} is damaged{of} and now called {aside.name}; {then}.")
    return None


def clear(folder: RunFolder) -> None:
    """Remove the checkpoints inside a task that is finished."""
    for path in (previous(folder.last), folder.last):
        path.unlink(missing_ok=True)


def remove_leftovers(folder: RunFolder) -> None:
    """Remove temporary files of a process that was killed while it wrote them."""
    for path in folder.checkpoints.glob("*.tmp"):
        discard(path)
