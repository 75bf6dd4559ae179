"""What runs measured as one tidy table: a line for each number."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from lgan.run.identity import flatten
from lgan.run.record import RunRecord

COLUMNS = ("run", "method", "seed", "border", "task", "metric", "value")
_BY_TASK = {"metrics": "", "retention": "retention."}  # lists with an entry for each task so far
_ASIDE = ("task", "per_class")


def tidy(runs: Iterable[tuple[Path, RunRecord]]) -> pd.DataFrame:
    """Return a line for each number of some runs; see `lgan.results`."""
    lines = [
        (_shown(folder), record.method, record.seed, row["task"], *number)
        for folder, record in runs
        for row in record.rows
        for number in _numbers(row)
    ]
    frame = pd.DataFrame(lines, columns=list(COLUMNS))
    kinds = {"seed": "int64", "border": "int64", "task": "Int64", "value": "float64"}
    return frame.astype(kinds | dict.fromkeys(("run", "method", "metric"), "str"))


def _numbers(row: dict[str, Any]) -> Iterator[tuple[int | None, str, float | None]]:
    """Yield task, name and value; the task is None of what is of all tasks so far."""
    for key, prefix in _BY_TASK.items():
        for task, entry in enumerate(row.get(key) or ()):
            yield from ((task, prefix + name, value) for name, value in _flat(entry))
    yield from ((None, name, value) for name, value in _flat(row.get("overall") or {}))
    rest = {key: row[key] for key in row if key not in (*_BY_TASK, *_ASIDE, "overall")}
    yield from ((None, name, value) for name, value in _flat(rest))


def _flat(entry: dict[str, Any]) -> Iterator[tuple[str, float | None]]:
    return ((k, v) for k, v in flatten(entry) if isinstance(v, int | float | None))


def _shown(folder: Path) -> str:
    """Return the path as a user would type it."""
    whole, here = folder.resolve(), Path.cwd()
    return str(whole.relative_to(here) if whole.is_relative_to(here) else whole)
