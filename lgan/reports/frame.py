"""What runs measured as one tidy table: a line for each number."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lgan.arguments import Texts, check_value
from lgan.errors import warn
from lgan.reports.collect import collect
from lgan.run.identity import flatten
from lgan.run.record import RunRecord

COLUMNS = {"run": "str", "method": "str", "seed": "int64", "border": "int64", "task": "Int64",
           "metric": "str", "value": "float64"}  # fmt: skip
_BY_TASK = {"metrics": "", "retention": "retention."}  # lists with an entry for each task so far
_ASIDE = ("task", "per_class")


def results(folders: str | Path | Sequence[str | Path]) -> pd.DataFrame:
    """Return what the finished runs below some folders measured, a line for each number.

    The columns are run (the folder), method, seed, border (after which task), task (of which; none
    where the number is of all tasks so far), metric and value. Accuracies are shares from 0 to 1.
    As in tables, runs that are not complete, damaged or there twice are left out with a warning.

    >>> list(lgan.results("outputs").columns)
    ['run', 'method', 'seed', 'border', 'task', 'metric', 'value']
    """
    paths: list[Any] = [folders]
    if isinstance(folders, Sequence) and not isinstance(folders, str):
        paths = [*folders]
    check_value("folders", Texts, [str(p) if isinstance(p, os.PathLike) else p for p in paths])
    found = collect(paths)
    for sentence in found.warnings:
        warn(sentence)
    return tidy((run.folder, run.record) for group in found.groups for run in group.runs)


def tidy(runs: Iterable[tuple[Path, RunRecord]]) -> pd.DataFrame:
    """Return the lines of some runs, by their folders."""
    lines = [
        (_shown(folder), record.method, record.seed, row["task"], *number)
        for folder, record in runs
        for row in record.rows
        for number in _numbers(row)
    ]
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype(COLUMNS)


def _numbers(row: dict[str, Any]) -> Iterator[tuple[int | None, str, float | None]]:
    """Yield task, name and value; the task is None of what is of all tasks so far."""
    parts: list[tuple[int | None, str, Any]] = [
        (task, prefix, entry)
        for key, prefix in _BY_TASK.items()
        for task, entry in enumerate(row.get(key) or ())
    ]
    rest = {key: row[key] for key in row if key not in (*_BY_TASK, *_ASIDE, "overall")}
    for task, prefix, entry in (*parts, (None, "", row.get("overall") or {}), (None, "", rest)):
        for name, value in flatten(entry):
            if isinstance(value, int | float | None):
                yield task, prefix + name, value


def _shown(folder: Path) -> str:
    """Return the path as a user would type it."""
    whole, here = folder.resolve(), Path.cwd()
    return str(whole.relative_to(here) if whole.is_relative_to(here) else whole)
