"""A paper's table: make its runs, and read from them what stands in its columns."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lgan.errors import DataError, LganError
from lgan.results.paper_file import Column, PaperTable
from lgan.run.record import RunRecord, number, value_at

Train = Callable[[list[str]], Path]
Progress = Callable[[str], None]


@dataclass
class Outcome:
    """What became of the runs of one method on one data set: records, or a sentence."""

    records: list[RunRecord] = field(default_factory=list)
    problem: str = ""
    failed: bool = False


def run_all(
    table: PaperTable,
    methods: Sequence[str],
    budget: str,
    seeds: Sequence[int],
    extra: Callable[[str], list[str]],
    train: Train,
    progress: Progress,
) -> dict[tuple[str, str], Outcome]:
    """Train all runs, one after another, and read their records; keyed by (run, method).

    Absent data or a failed run end in that outcome's sentence; the others go on. Data found absent
    are not looked for again.

    Args:
        table: what to run.
        methods: of the table.
        budget: of the table.
        seeds: one run each.
        extra: further overrides for a run's key.
        train: overrides to the folder of a complete run; raises LganError.
        progress: gets a line for each run.
    """
    outcomes = {
        (run, method): Outcome(problem=table.left_out(run, method, budget) or "")
        for run in table.runs
        for method in methods
    }
    jobs = [(*key, seed) for key, made in outcomes.items() if not made.problem for seed in seeds]
    absent: dict[str, str] = {}
    for index, (run, method, seed) in enumerate(jobs, 1):
        outcome = outcomes[run, method]
        if run in absent:
            outcome.problem = absent[run]
            continue
        progress(f"[{index}/{len(jobs)}] {run}, {method}, seed {seed}")
        try:
            folder = train([*table.overrides(run, method, budget, seed), *extra(run)])
            outcome.records.append(RunRecord.load(folder))
        except DataError as error:
            absent[run] = outcome.problem = f"no data: {error}"
            progress(f"  {absent[run]}")
        except LganError as error:
            outcome.problem, outcome.failed = f"seed {seed} failed: {error}", True
            progress(f"  {outcome.problem}")
    return outcomes


@dataclass(frozen=True)
class Reading:
    """Our number for one column and one method, in the paper's unit.

    `comparable` is False where another metric or another number of tasks had to stand in.
    """

    metric: str
    values: list[float]
    remarks: list[str] = field(default_factory=list)
    comparable: bool = True


def read(column: Column, metric: str, outcome: Outcome, also: Sequence[str] = ()) -> Reading:
    """Read a metric at a column's row from all records of an outcome.

    Args:
        column: says the row, the unit and the stand-in.
        metric: of results.json, or a path into a row.
        outcome: of `run_all`.
        also: further metrics for the remark.
    """
    asked = metric
    if column.stand_in and metric not in _names(outcome):
        pattern = column.stand_in if "*" in column.stand_in else f"{column.stand_in}*"
        others = sorted(fnmatch.filter(_names(outcome), pattern))
        metric = others[0] if others else metric
    values = _values(column, metric, outcome)
    short = _too_short(column, outcome)
    remarks = [] if metric == asked else [f"{metric}, not comparable with the paper's extractor"]
    remarks += short
    if outcome.problem:
        remarks.append(outcome.problem)
    elif not values:
        remarks.append(f"{metric} was not measured")
    remarks += [_beside(column, name, outcome) for name in also]
    declared = {record.declaration for record in outcome.records if record.declaration}
    remarks += [f"declares: {text}" for text in sorted(declared)]
    unique = [remark for remark in dict.fromkeys(remarks) if remark]
    return Reading(metric, values, unique, metric == asked and not short)


def _names(outcome: Outcome) -> set[str]:
    names: set[str] = set()
    for record in outcome.records:
        names |= record.metric_names()
        names |= set(record.rows[-1].get("overall") or {} if record.rows else ())
    return names


def _values(column: Column, metric: str, outcome: Outcome) -> list[float]:
    values = [
        column.factor(metric) * value_in(record, metric, _row_index(column, record), column.task)
        for record in outcome.records
    ]
    return [value for value in values if not math.isnan(value)]


def _too_short(column: Column, outcome: Outcome) -> list[str]:
    if column.after_task is None:
        return []
    rows = {_row_index(column, record) + 1 for record in outcome.records}
    return [f"after task {row} only" for row in sorted(rows) if row != column.after_task]


def _beside(column: Column, metric: str, outcome: Outcome) -> str:
    """A further metric as text, under its own name; empty where it was not measured."""
    values = _values(column, metric, outcome)
    return f"{metric} {spread(values, column.digits)}" if values else ""


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean ± sample standard deviation; a single value has none."""
    text = f"{float(np.mean(values)):,.{digits}f}"
    if len(values) > 1:
        text += f" ± {float(np.std(values, ddof=1)):,.{digits}f}"
    return text


def _row_index(column: Column, record: RunRecord) -> int:
    last = len(record.rows)
    return (last if column.after_task is None else min(column.after_task, last)) - 1


def value_in(record: RunRecord, metric: str, row: int, task: int | None = None) -> float:
    """A metric, or the value at a path, after the task of a row; NaN if absent.

    Args:
        record: of one run.
        metric: its name, or a path into the row.
        row: index of the row.
        task: read the metric of this task (from 1); None for all so far.
    """
    if row < 0:
        return math.nan
    if task is not None:
        entries = record.rows[row]["metrics"]
        return number(entries[task - 1].get(metric)) if task <= len(entries) else math.nan
    if "." in metric:
        return value_at(record.rows[row], metric)
    # A pooled FID may stand in `overall`; the papers' is the mean over tasks.
    if not metric.startswith("accuracy") and metric in record.metric_names():
        return float(np.mean(record.matrix(metric)[row]))
    return record.overall(metric, row)
