"""A paper's table as data: what to run, what came out here, what the paper says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lgan.errors import ConfigError, DataError, LganError
from lgan.results.record import RunRecord
from lgan.results.tables import escape_markdown

Train = Callable[[list[str]], Path]
Progress = Callable[[str], None]
KEYS = ("title", "numbers", "runs", "methods", "columns", "budgets")


@dataclass(frozen=True)
class Column:
    """A column of the paper's table.

    Args:
        key: its key in the paper's numbers.
        title: as printed.
        run: key of the runs it is read from.
        metric: of results.json; accuracies over all classes so far are read from `overall`,
            feature distances are the mean over tasks, as the paper's are.
        after_task: number of tasks learnt (from 1); None for the last row.
        stand_in: prefix of a metric shown, apart and without a difference, where `metric` was not
            measured.
    """

    key: str
    title: str
    run: str
    metric: str
    after_task: int | None = None
    stand_in: str | None = None

    @property
    def scale(self) -> float:
        """Fractions are printed in percent, as in papers."""
        return 100.0 if self.metric.startswith("accuracy") else 1.0


@dataclass(frozen=True)
class PaperTable:
    """The content of a table's file, with the paper's numbers."""

    title: str
    source: str
    runs: dict[str, list[str]]
    methods: dict[str, list[str]]
    columns: list[Column]
    budgets: dict[str, dict[str, Any]]
    numbers: dict[str, dict[str, float]]

    @classmethod
    def load(cls, path: Path) -> PaperTable:
        """Read a table's file and the paper's numbers it names (`numbers: file.yaml#key`).

        Raises:
            ConfigError: a file is absent, or not of the form experiments/README.md describes.
        """
        content = _read_yaml(path)
        missing = [key for key in KEYS if key not in content]
        if missing:
            raise ConfigError(f"{path}: the keys {', '.join(missing)} are missing.")
        file, _, key = str(content["numbers"]).partition("#")
        paper = _read_yaml(path.parent / file).get(key)
        if not isinstance(paper, dict):
            raise ConfigError(f"{path}: numbers={content['numbers']} names no table of {file}.")
        try:
            columns = [Column(**column) for column in content["columns"]]
        except TypeError as error:
            raise ConfigError(f"{path}: columns: {error}.") from error
        return cls(
            title=content["title"],
            source=paper.get("source", ""),
            runs=content["runs"],
            methods=content["methods"],
            columns=columns,
            budgets=content["budgets"],
            numbers=paper["values"],
        )

    def choose(self, methods: Sequence[str] | None, budget: str) -> list[str]:
        """The methods asked for, after a check of their names and the budget's.

        Raises:
            ConfigError: a method or the budget is not in the table.
        """
        if budget not in self.budgets:
            raise ConfigError(f"budget={budget} is none of {', '.join(self.budgets)}.")
        for method in methods or ():
            if method not in self.methods:
                raise ConfigError(f"methods: '{method}' is none of {', '.join(self.methods)}.")
        return list(methods or self.methods)

    def overrides(self, run: str, method: str, budget: str, seed: int) -> list[str]:
        """What to say to lgan-train for one run; later overrides win, the budget's come last."""
        chosen = self.budgets[budget]
        own = [
            *((chosen.get("runs") or {}).get(run) or []),
            *((chosen.get("methods") or {}).get(method) or []),
        ]
        return [*self.runs[run], *self.methods[method], *chosen.get("overrides", []), *own,
                f"seed={seed}"]  # fmt: skip


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"table: {path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"table: {path} is no YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"table: {path} should hold a mapping.")
    return content


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
    outcomes = {(run, method): Outcome() for run in table.runs for method in methods}
    jobs = [(*key, seed) for key in outcomes for seed in seeds]
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
class _Reading:
    """Our number for one column and one method, in the paper's unit."""

    values: list[float]
    remark: str = ""
    comparable: bool = True


def _read(column: Column, outcome: Outcome) -> _Reading:
    metric, comparable = column.metric, True
    names = {name for record in outcome.records for name in _names(record)}
    if metric not in names and column.stand_in:
        others = sorted(name for name in names if name.startswith(column.stand_in))
        metric, comparable = (others[0], False) if others else (metric, True)
    remarks = [] if comparable else [f"{metric}, not comparable with the paper's extractor"]
    values = []
    for record in outcome.records:
        row = _row_index(column, record)
        if column.after_task is not None and row + 1 != column.after_task:
            remarks.append(f"after task {row + 1} only")
            comparable = False
        values.append(column.scale * _value(record, metric, row))
    known = [value for value in values if not math.isnan(value)]
    if outcome.problem:
        remarks.append(outcome.problem)
    elif not known:
        remarks.append(f"{metric} was not measured")
    return _Reading(known, "; ".join(dict.fromkeys(remarks)), comparable)


def _names(record: RunRecord) -> set[str]:
    return record.metric_names() | set(record.rows[-1].get("overall") or {} if record.rows else ())


def _row_index(column: Column, record: RunRecord) -> int:
    last = len(record.rows)
    return (last if column.after_task is None else min(column.after_task, last)) - 1


def _value(record: RunRecord, metric: str, row: int) -> float:
    if row < 0:
        return math.nan
    # A pooled FID may stand in `overall`; the papers' is the mean over tasks.
    if not metric.startswith("accuracy") and metric in record.metric_names():
        return float(np.mean(record.matrix(metric)[row]))
    return record.overall(metric, row)


def render(
    table: PaperTable, methods: Sequence[str], budget: str, outcomes: dict[tuple[str, str], Outcome]
) -> str:
    """Markdown: ours (mean ± sd over seeds) beside the paper's, and the difference."""
    note = " ".join(str(table.budgets[budget].get("note", "")).split())
    lines = [f"# {escape_markdown(table.title)}", "", f"Paper: {escape_markdown(table.source)}", ""]
    lines += [f"Budget **{escape_markdown(budget)}**: {escape_markdown(note)}", ""]
    header = ["", "method", "ours", "seeds", "paper", "ours - paper", "remark"]
    lines += ["| " + " | ".join(header) + " |", "|---|---|---:|---:|---:|---:|---|"]
    for column in table.columns:
        for method in methods:
            outcome = outcomes[column.run, method]
            cells = _cells(column, method, outcome, table.numbers.get(column.key, {}))
            lines.append("| " + " | ".join(escape_markdown(cell) for cell in cells) + " |")
    return "\n".join([*lines, "", *_classifier_lines(outcomes), ""])


def _cells(column: Column, method: str, outcome: Outcome, numbers: dict[str, float]) -> list[str]:
    reading, paper = _read(column, outcome), numbers.get(method)
    ours, difference = "–", "–"
    if reading.values:
        mean = float(np.mean(reading.values))
        ours = f"{mean:.2f}"
        if len(reading.values) > 1:
            ours += f" ± {float(np.std(reading.values, ddof=1)):.2f}"
        if paper is not None and reading.comparable:
            difference = f"{mean - paper:+.2f}"
    stated = "not reported" if paper is None else f"{paper:.2f}"
    return [column.title, method, ours, str(len(reading.values)), stated, difference,
            reading.remark]  # fmt: skip


def _classifier_lines(outcomes: dict[tuple[str, str], Outcome]) -> list[str]:
    """How good the judges are: accuracy on real test images, and the numbers of samples."""
    lines = []
    for (run, _), outcome in outcomes.items():
        for record in outcome.records:
            known = record.references
            accuracy = known.get("classifier_test_accuracy")
            if isinstance(accuracy, float):
                lines.append(
                    f"- {run}: evaluation classifier {known.get('classifier', '?')}, "
                    f"{100 * accuracy:.2f} % on real test images; "
                    f"{known.get('samples_per_class', '?')} generated images per class."
                )
    return [escape_markdown_line(line) for line in dict.fromkeys(lines)]


def escape_markdown_line(line: str) -> str:
    """Escape a list item but for its dash."""
    return f"- {escape_markdown(line.removeprefix('- '))}"
