"""What an extension costs beside the task that it trains: seconds, and bytes on the disk."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.common import Row
from lgan.launch.compose import compose_run
from lgan.launch.extension import compose_extension
from lgan.reports.paper import quote
from lgan.run.record import RunRecord
from lgan.training.train import train

TASKS = 4
"""Of the run that is extended by one."""
DISK = 1.1
"""Of what the task adds to the checkpoints of a run in one go, that an extension may add."""


def extending_rows(quick: bool) -> list[Row]:
    """Measure a run of so many tasks, one more in one go, and the run extended by one."""
    return [row for name in ("mergan_jtr", "dgm_w") for row in _rows(name, quick)]


def _rows(name: str, quick: bool) -> list[Row]:
    own = [f"method={name}", "data=digits", f"training.steps={20 if quick else 200}", "trainer=cpu",
           "callbacks.progress=null"]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        places = [f"paths.cache={quote(folder + '/cache')}"]

        def run(kind: str, *asked: str) -> tuple[float, Path]:
            place = Path(folder) / kind
            make = compose_extension if kind == "more" else compose_run
            config = make([*asked, *places, f"run_dir={quote(str(place))}"])
            began = time.perf_counter()
            train(config)
            return time.perf_counter() - began, place

        _, new = run("one_go", *own, f"data.num_tasks={TASKS + 1}")  # trains the classifier too
        _, old = run("short", *own, f"data.num_tasks={TASKS}")
        wall, extended = run("more", f"run={quote(str(old))}", f"num_tasks={TASKS + 1}")
        rows = RunRecord.load(extended).rows
        disk = [_row(new, old, extended, part, name) for part in ("checkpoints", ".")]
    trained = rows[-1]["train_seconds"]
    *again, last = (row["evaluation_seconds"] for row in rows)
    told = (
        f"training {trained:.1f} s, its evaluation {last:.1f} s, that of {TASKS} old borders "
        f"{sum(again):.1f} s, in all {wall:.1f} s"
    )
    ratio = wall / (trained + last)
    return [Row(f"time of an extension, {name}", told, ratio, "reported", True), *disk]


def _row(new: Path, old: Path, extended: Path, part: str, name: str) -> Row:
    one = _bytes(new / part) - _bytes(old / part)
    more = _bytes(old / part, extended / part) - _bytes(old / part)
    told = f"in one go {one / 2**10:.0f} KiB, extended {more / 2**10:.0f} KiB"
    most = part == "checkpoints"
    what = f"disk of the task, {name}: {part if most else 'with pictures and records'}"
    target = f"<= {DISK}" if most else "reported"
    return Row(what, told, more / one, target, not most or more / one <= DISK)


def _bytes(*folders: Path) -> int:
    """Return what the files below some folders take, each once however many names it has."""
    files = [path.stat() for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sum({file.st_ino: file.st_size for file in files}.values())
