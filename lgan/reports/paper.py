"""A paper's table: which runs it needs, and what of their records stands in its columns."""

from __future__ import annotations

import fnmatch
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lgan.reports.intransigence import REFERENCES, RELATIVE, scalar
from lgan.reports.matrix import SCALARS
from lgan.reports.paper_file import Column, PaperTable
from lgan.run.record import RunRecord, number, value_at


@dataclass
class Outcome:
    """What became of the runs of one method on one data set: records, or a sentence."""

    records: list[RunRecord] = field(default_factory=list)
    problem: str = ""
    among: list[RunRecord] = field(default_factory=list)  # of all methods on this data


@dataclass(frozen=True)
class Plan:
    """What is asked of a paper's table: a run for each of the seeds."""

    table: PaperTable
    stem: str  # names the table's file
    budget: str
    methods: list[str]
    seeds: list[int]
    folder: Path  # of the runs and the table
    # The data are in `data_root/<run>` if there is one, else there; None: each set's default.
    data_root: Path | None = None
    more: list[str] = field(default_factory=list)

    @property
    def cells(self) -> dict[str, tuple[str, str, int]]:
        """Run, method and seed of all that is to be run, named as "mnist/sft/0"."""
        return {
            f"{run}/{method}/{seed}": (run, method, seed)
            for run in self.table.runs
            for method in self.methods
            if self.table.left_out(run, method, self.budget) is None
            for seed in self.seeds
        }

    def overrides(self, cell: str) -> list[str]:
        """What to say to lgan-train for a cell."""
        run, method, seed = self.cells[cell]
        place = [f"paths.runs={quote(str(self.folder))}"]
        if self.data_root is not None:
            own = self.data_root / run
            place.append(f"data.root={quote(str(own if own.is_dir() else self.data_root))}")
        return [*self.table.overrides(run, method, self.budget, seed), *place, *self.more]

    def outcomes(self, ended: Iterable[tuple[str, str, str | None]]) -> Outcomes:
        """Join by run and method what cells became: name, folder, why not complete (or None)."""
        found = {
            (run, method): Outcome(problem=self.table.left_out(run, method, self.budget) or "")
            for run in self.table.runs
            for method in self.methods
        }
        for cell, folder, problem in ended:
            run, method, _ = self.cells[cell]
            if problem is None:
                found[run, method].records.append(RunRecord.load(Path(folder)))
            else:
                found[run, method].problem = problem
        for (run, _), outcome in found.items():
            alike = (other.records for (its, _), other in found.items() if its == run)
            outcome.among = list(itertools.chain(*alike))
        return found


Outcomes = dict[tuple[str, str], Outcome]


def quote(text: str) -> str:
    """A text as Hydra's override grammar reads it back, whatever characters it holds."""
    if re.fullmatch(r"[A-Za-z0-9_./-]+", text):
        return text
    # Hydra reads backslashes as they stand, but for those before a quotation mark.
    doubled = re.sub(r"(\\+)(?='|\Z)", lambda found: found[0] * 2, text)
    return "'" + doubled.replace("'", "\\'") + "'"


@dataclass(frozen=True)
class Reading:
    """Our number for one column and one method, in the paper's unit."""

    metric: str
    values: list[float]
    remarks: list[str] = field(default_factory=list)
    comparable: bool = True  # whether no other metric or number of tasks had to stand in


def read(column: Column, metric: str, outcome: Outcome, also: Sequence[str] = ()) -> Reading:
    """Read a metric, or a path into a row, for a column; metrics in `also` stand in the remark."""
    asked = metric
    if column.stand_in and metric not in _names(outcome):
        pattern = column.stand_in if "*" in column.stand_in else f"{column.stand_in}*"
        others = sorted(fnmatch.filter(_names(outcome), pattern))
        metric = others[0] if others else metric
    values = _values(column, metric, outcome)
    rows = sorted({_row_index(column, record) + 1 for record in outcome.records})
    short = [f"after {row} tasks only" for row in rows if column.after_task not in (None, row)]
    remarks = [] if metric == asked else [f"{metric}, not comparable with the paper's extractor"]
    remarks += short
    kind, _, name = metric.partition(".")
    best = REFERENCES.get(name, ("",))[0] if kind in RELATIVE else ""
    if outcome.problem:
        remarks.append(outcome.problem)
    elif not values:
        needed = f"; it needs runs of {best} with the same seeds" if best else ""
        remarks.append(f"{metric} was not measured{needed}")
    if best and values:
        remarks.append(f"against {best} of the same seeds")
    beside = ((name, _values(column, name, outcome)) for name in also)
    remarks += [f"{name} {spread(found, column.digits)}" for name, found in beside if found]
    declared = {record.declaration for record in outcome.records if record.declaration}
    remarks += [f"declares: {text}" for text in sorted(declared)]
    unique = [remark for remark in dict.fromkeys(remarks) if remark]
    return Reading(metric, values, unique, metric == asked and not short)


def _names(outcome: Outcome) -> set[str]:
    rows = [row for record in outcome.records for row in record.rows[-1:]]
    overall = [set(row.get("overall") or ()) for row in rows]
    return set().union(*overall, *(record.metric_names() for record in outcome.records))


def _values(column: Column, metric: str, outcome: Outcome) -> list[float]:
    values = (_value(column, metric, record, outcome.among) for record in outcome.records)
    return [column.factor(metric) * value for value in values if not math.isnan(value)]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean ± sample standard deviation; a single value has none."""
    text = f"{float(np.mean(values)):,.{digits}f}"
    if len(values) > 1:
        text += f" ± {float(np.std(values, ddof=1)):,.{digits}f}"
    return text


def _row_index(column: Column, record: RunRecord) -> int:
    last = len(record.rows)
    return (last if column.after_task is None else min(column.after_task, last)) - 1


def _value(column: Column, metric: str, record: RunRecord, among: Sequence[RunRecord]) -> float:
    """A metric, or a path's value, of one task or all so far in the column's row; NaN if absent.

    `forgetting.NAME` and its like are made of the result matrix down to the row.
    """
    row = _row_index(column, record)
    if (task := column.task) is not None:
        entries = record.rows[row]["metrics"]
        return number(entries[task - 1].get(metric)) if task <= len(entries) else math.nan
    kind, _, name = metric.partition(".")
    if kind in {*SCALARS, *RELATIVE}:
        return scalar(kind, record, name, row, among)
    if "." in metric:
        return value_at(record.rows[row], metric)
    # A pooled FID may stand in `overall`; the papers' is the mean over tasks.
    if not metric.startswith("accuracy") and metric in record.metric_names():
        return float(np.mean(record.matrix(metric)[row]))
    return record.overall(metric, row)
