"""The record of one run: `results.json`, written anew after every task."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig
from pydantic import TypeAdapter, ValidationError

from lgan.errors import RunError, did_you_mean
from lgan.files import write_json
from lgan.run.identity import differences, digest_of, identity

FORMAT = 1
FILE_NAME = "results.json"


@dataclass
class RunRecord:
    """What one run measured: row t of the result matrix for every finished task t.

    Accuracies are fractions in [0, 1]. `rows[t]["metrics"][j]` holds the metrics of task j after
    training task t (j <= t), `rows[t]["overall"]` those over all classes seen so far. `rewinds` are
    those of `lgan.run.rewinds`, `events` say what went wrong and what was done about it, `columns`
    what tables show of the metrics (`lgan.run.columns.Column`; older records have none), `ledger`
    whose real pictures were opened while each task was trained (`lgan.data.ledger`). `identity` is
    `lgan.run.identity.identity` of the config, `content` what `lgan.data.content` says of the data,
    with the digests of `method.init_from`; in older records both are empty. `parent` is of a run
    that extends another one (`lgan.run.adoption`): which, the number of its tasks, and its rows.
    `summary` is what was said before training (`lgan.training.summary`), with `expected_seconds`.
    """

    data: str
    method: str
    seed: int
    num_tasks: int
    preset: str = ""
    declaration: str = ""
    identity: dict[str, Any] = field(default_factory=dict)
    content: dict[str, Any] = field(default_factory=dict)
    status: Literal["running", "complete", "failed", "stopped"] = "running"
    error: str | None = None
    tasks: list[dict[str, Any]] = field(default_factory=list)
    references: dict[str, Any] = field(default_factory=dict)
    columns: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    rewinds: list[dict[str, Any]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    ledger: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    parent: dict[str, Any] | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def stamp(self) -> dict[str, str]:
        """What every file of the run carries; empty for older runs."""
        if not self.identity or not self.content:
            return {}
        content = [self.content["digest"], self.content.get("init_from")]
        return {"run": digest_of(self.identity), "content": digest_of(content)}

    @property
    def adopted(self) -> int:
        """Number of tasks that a run which it extends has learnt; 0: it extends none."""
        return self.parent["tasks"] if self.parent else 0

    @property
    def complete(self) -> bool:
        """Whether the run says it is complete and holds a row for every task."""
        return self.status == "complete" and len(self.rows) == self.num_tasks

    @property
    def task_names(self) -> list[str]:
        """The name of each task, learnt or to come: that of its class, or of its classes."""
        return ["+".join(map(str, task.get("class_names", ()))) for task in self.tasks]

    def declare(self, sentences: Iterable[str]) -> None:
        """Add to the declaration what it does not say yet."""
        for sentence in sentences:
            if sentence not in self.declaration:
                self.declaration = "; ".join(filter(None, (self.declaration, sentence)))

    def add_row(self, row: dict[str, Any]) -> None:
        """Add the row of task `row["task"]`; a row of that task or later ones is replaced."""
        task = row["task"]
        if not 0 <= task <= len(self.rows) or task >= self.num_tasks:
            raise RunError(
                f"row of task {task} cannot be added: the record holds {len(self.rows)} of "
                f"{self.num_tasks} rows, and rows come in task order."
            )
        for fault in _row_faults(row, task):
            raise RunError(f"the new row is damaged: {fault}.")
        self.rows[task:] = [row]

    def matrix(self, metric: str) -> list[list[float]]:
        """The result matrix of a metric: row t has t+1 values, NaN where one was not measured."""
        if metric not in self.metric_names():
            known = ", ".join(sorted(self.metric_names())) or "none"
            near = did_you_mean(metric, self.metric_names())
            raise RunError(f"metric '{metric}' is not in this record; it has: {known}{near}.")
        return [[number(entry.get(metric)) for entry in row["metrics"]] for row in self.rows]

    def metric_names(self) -> set[str]:
        """Names of all metrics measured per task."""
        return {name for row in self.rows for entry in row["metrics"] for name in entry}

    def overall(self, metric: str, row: int = -1) -> float:
        """A metric over all classes seen so far, after the last task or that of `row`; or NaN."""
        if not self.rows:
            return math.nan
        return number((self.rows[row].get("overall") or {}).get(metric))

    def save(self, folder: Path) -> None:
        """Write `results.json` into a run folder, atomically."""
        write_json(Path(folder) / FILE_NAME, vars(self))

    @classmethod
    def load(cls, folder: Path) -> RunRecord:
        """Read a run folder's `results.json`; RunError if absent, damaged or of another format."""
        path = Path(folder) / FILE_NAME
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise RunError(f"{path} is no regular file: {folder} is not a run folder.")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RunError(f"{path} does not exist: {folder} is not a run folder.") from error
        except (OSError, ValueError) as error:
            raise RunError(
                f"{path} is damaged and cannot be read as JSON ({error}); restore it from a copy, "
                "or train the run anew with another run_dir=... Nothing was overwritten."
            ) from error
        return cls.from_dict(content, str(path))

    def check_config(self, config: DictConfig | dict[str, Any], path: Path) -> None:
        """Refuse a config, read from `path`, that is not the one the run was trained with."""
        now = identity(config) if self.identity else {}
        # Keys that lgan did not know then are passed over.
        changed = differences(self.identity, {k: v for k, v in now.items() if k in self.identity})
        if changed:
            raise RunError(
                f"{path.with_name(FILE_NAME)} and {path.name} are not of the same run "
                f"({FILE_NAME} -> {path.name}): {'; '.join(changed[:5])}; restore the one that was "
                "exchanged from a copy."
            )

    @classmethod
    def from_dict(cls, content: Any, name: str = FILE_NAME) -> RunRecord:  # noqa: ANN401
        """Make a record of plain data, or raise a RunError; `name` stands in its message."""
        if not isinstance(content, dict):
            raise RunError(f"{name} is damaged: it should hold one JSON object.")
        if (found := content.get("format")) != FORMAT:
            raise RunError(f"{name} has format {found!r}, this lgan reads format {FORMAT}.")
        try:
            record = _RECORDS.validate_python(content)
        except ValidationError as error:
            raise RunError(f"{name} is damaged: {first_fault(error)}.") from error
        for fault in _faults(record):
            raise RunError(f"{name} is damaged: {fault}.")
        return record


_RECORDS = TypeAdapter(RunRecord)


def first_fault(error: ValidationError) -> str:
    """Return the first thing that pydantic found wrong, and where."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def value_at(row: dict[str, Any], path: str) -> float:
    """A number of one of `RunRecord.rows` by its path; NaN where it is absent.

    A path is keys joined by dots (`disk.weights_fp32`); `*` adds up over all keys of a mapping
    (`capacity.*.reserved`), `+` adds up paths, `/` divides one such sum by another.
    """
    above, *below = (
        float(sum(walk(row, term.strip().split(".")) for term in part.split("+")))
        for part in path.split("/", 1)
    )
    if not below:
        return above
    return above / below[0] if below[0] else math.nan


def walk(value: Any, keys: list[str]) -> float:  # noqa: ANN401  (any JSON value)
    """A number below nested keys, `*` for the sum over all of a mapping; NaN where it is absent."""
    if not keys:
        return number(value)
    if not isinstance(value, dict):
        return math.nan
    if keys[0] == "*":
        return sum((walk(part, keys[1:]) for part in value.values()), 0.0) if value else math.nan
    return walk(value.get(keys[0]), keys[1:])


def number(value: Any) -> float:  # noqa: ANN401  (any JSON value)
    """A JSON value as a float; NaN where it is absent or no number."""
    return float(value) if isinstance(value, int | float) else math.nan


def _faults(record: RunRecord) -> Iterator[str]:
    """Yield what is wrong; the first counts, as every check relies on those before it."""
    if len(record.rows) > record.num_tasks:
        yield "it has more rows than tasks"
    classes, keys = record.content.get("classes"), {"digest", "train", "validation", "test"}
    if record.content and not (
        isinstance(record.content.get("digest"), str)
        and isinstance(classes, dict)
        and all(isinstance(each, dict) and keys <= each.keys() for each in classes.values())
    ):
        yield "'content' should be a mapping as lgan wrote it"
    parent = record.parent or {"rows": [], "tasks": 0}
    if not isinstance(parent.get("rows"), list) or len(parent["rows"]) != parent.get("tasks"):
        yield "'parent' should be null, or have a row for each of its tasks"
    yield from chain.from_iterable(map(_row_faults, record.rows, count()))


def _row_faults(row: dict[str, Any], index: int) -> Iterator[str]:
    metrics = row.get("metrics")
    if row.get("task") != index or not isinstance(metrics, list):
        yield f"row {index} should have task {index} and its metrics"
    elif len(metrics) != index + 1:
        yield f"row {index} should have metrics of {index + 1} tasks, not {len(metrics)}"
    elif not all(map(_is_measured, (*metrics, row.get("overall") or {}))):
        yield f"row {index} should have a number or null for each of its metrics"


def _is_measured(entry: Any) -> bool:  # noqa: ANN401
    return isinstance(entry, dict) and all(
        isinstance(v, int | float | None) for v in entry.values()
    )
