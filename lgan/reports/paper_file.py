"""A paper's table as data: a file of ours says what to run, another one what the paper says."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import yaml
from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from lgan.errors import ConfigError, check_known
from lgan.reports.departures import Rule
from lgan.run.record import first_fault

LOST = "lost"
STRICT = ConfigDict(extra="forbid")
Cells = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Column:
    """A column of the paper's table; columns of one part follow each other."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    key: str
    title: str
    run: str  # key of the runs it is read from
    # Of results.json: accuracies over all classes so far are read from `overall`, feature distances
    # are the mean over tasks, as the paper's are. With a dot it is a path into a row, as
    # `lgan.run.record.value_at` reads it.
    metric: str
    after_task: int | None = None  # number of tasks learnt (from 1); None for the last row
    # Prefix of a metric, or a pattern with `*`, shown apart and without a difference where `metric`
    # was not measured.
    stand_in: str | None = None
    scale: float | None = None  # from the record's unit to the paper's; 100 for accuracies, else 1
    digits: int = 2
    paper: str | None = None  # key in the paper's numbers where it is not `key`
    only: list[str] | None = None  # the only methods it is for; None for all
    task: int | None = None  # that the metric is read from (from 1); None for all so far
    part: str = ""  # heading of the part of the table it stands in

    def factor(self, metric: str) -> float:
        """From the record's unit to the paper's: fractions are printed in percent."""
        if self.scale is not None:
            return self.scale
        return 100.0 if metric.rpartition(".")[2].startswith("accuracy") else 1.0


@dataclass(frozen=True)
class Entry:
    """A method of the table: a list of overrides, or a mapping of these fields."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    overrides: list[str] = field(default_factory=list)
    title: str | None = None  # as printed; None: the method's key
    # Read instead of the columns' own: one for all columns, or by column.
    metric: str | dict[str, str] | None = None
    also: list[str] = field(default_factory=list)  # metrics in the remark, under their names
    runs: list[str] | None = None  # the only runs made with it; None for all
    not_run: str | None = None  # why it is not run here, the paper's numbers only

    def metric_of(self, column: Column) -> str:
        """The metric to read for a column."""
        if isinstance(self.metric, dict):
            return self.metric.get(column.key, column.metric)
        return self.metric or column.metric


@dataclass(frozen=True)
class PaperNumber:
    """What a paper says in one cell."""

    value: float | None = None
    lost: bool = False  # the paper has one, but our source of the paper lost it
    # What it is a number of, where that is not what the column says; a difference is taken only
    # from our value of the same metric.
    metric: str | None = None
    note: str = ""

    @property
    def present(self) -> bool:
        """Whether the paper has a number there, known to us or not."""
        return self.lost or self.value is not None


@dataclass(frozen=True)
class BoardPart:
    """A part of a board (`lgan.reports.board`): methods that are measured by the same columns."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    title: str
    methods: list[str]
    columns: list[str]  # those of `lgan-table`, by key
    compare: list[str]  # columns in which methods are ranked and held against others
    against: list[str] = field(default_factory=list)  # methods that others are held against


def _figures(content: Any) -> Any:  # noqa: ANN401  (any YAML value)
    """One figure under the name "", or several by name."""
    named = {"": content} if isinstance(content, dict) and "_target_" in content else content
    figures = list(named.values()) if isinstance(named, dict) else [None]
    if all(isinstance(figure, dict) and "_target_" in figure for figure in figures):
        return named
    raise ValueError("figure should be a mapping with _target_, or several of them by name")


@dataclass(frozen=True)
class PaperTable:
    """The content of a table's file, with the paper's numbers; cells are by column and method."""

    title: str
    runs: dict[str, list[str]]  # overrides of `lgan-train` for each data set, by the run's name
    methods: dict[str, Annotated[
        Entry, BeforeValidator(lambda its: {"overrides": its} if isinstance(its, list) else its)
    ]]  # fmt: skip
    # Of each a `note`, `overrides`, and more of them by `methods`, by `runs` and by `cells`, which
    # are patterns as "mnist/dgm_*".
    budgets: dict[str, dict[str, Any]]
    columns: list[Column] = field(default_factory=list)
    board: list[BoardPart] = field(default_factory=list)  # instead of columns; runs: class orders
    source: str = ""
    numbers: Cells = field(default_factory=dict)  # the paper's; `lost` where our source lost one
    metrics: Cells = field(default_factory=dict)  # of a number, where not what the column says
    notes: Cells = field(default_factory=dict)  # printed beside a number
    remarks: list[str] = field(default_factory=list)  # printed below the table
    leave_out: dict[str, dict[str, str]] = field(default_factory=dict)  # why, by budget and run
    figures: Annotated[dict[str, dict[str, Any]], BeforeValidator(_figures)] = field(
        default_factory=dict
    )
    has: list[Rule] = field(default_factory=list)  # what the paper and its code have

    @classmethod
    def load(cls, path: Path) -> PaperTable:
        """Read a table's file and the paper's numbers it names (`numbers: file.yaml#key`)."""
        content = _read_yaml(path)
        paper = {} if "board" in content else _linked(path, content, "numbers")
        whole = paper | content | {
            "budgets": _linked(path, content, "budgets"),
            "figures": content.get("figure"),
            "numbers": paper.get("values"),
            "has": _linked(path, content, "has", list) if "has" in content else None,
            "remarks": [*(paper.get("remarks") or ()), *(content.get("remarks") or ())],
        }  # fmt: skip
        known = {each.name for each in fields(cls)}
        given = {key: value for key, value in whole.items() if key in known and value is not None}
        try:
            table = TypeAdapter(cls).validate_python(given)
        except ValidationError as error:
            raise ConfigError(f"{path}: {_first_of(error)}") from error
        for name in itertools.chain(*((*part.methods, *part.against) for part in table.board)):
            check_known(f"{path}: board", name, table.methods)
        return table

    def restricted(self, only: Sequence[str] | None) -> PaperTable:
        """The part of the table that is read from some of its `runs`; None: all of it."""
        if only is None:
            return self
        for run in only:
            check_known("only", run, self.runs)
        first = None if self.board else next(iter(self.runs))  # a board's figures are of all runs
        return replace(
            self,
            runs={run: said for run, said in self.runs.items() if run in only},
            columns=[column for column in self.columns if column.run in only],
            figures={k: f for k, f in self.figures.items() if f.get("run", first) in (None, *only)},
        )

    def choose(self, methods: Sequence[str] | None, budget: str) -> list[str]:
        """The methods asked for, after a check of their names and the budget's."""
        check_known("budget", budget, self.budgets)
        for method in methods or ():
            check_known("methods", method, self.methods)
        return list(methods or self.methods)

    def overrides(self, run: str, method: str, budget: str, seed: int) -> list[str]:
        """What to say to lgan-train for one run; later overrides win, the budget's come last."""
        chosen = self.budgets[budget]
        # The data set's come after the method's: they say what its data allow.
        own = [chosen.get("methods", {}).get(method, ()), chosen.get("runs", {}).get(run, ())]
        cells = chosen.get("cells", {}).items()
        own += [said for cell, said in cells if fnmatch.fnmatch(f"{run}/{method}", cell)]
        parts = [self.runs[run], self.methods[method].overrides, chosen.get("overrides", ()), *own]
        return [*itertools.chain(*parts), f"seed={seed}"]

    def left_out(self, run: str, method: str, budget: str) -> str | None:
        """Why a method is not run on a data set with a budget, as a sentence; None if it is."""
        entry, reason = self.methods[method], self.leave_out.get(budget, {}).get(run)
        if entry.runs is not None and run not in entry.runs:
            reason = "the paper has no number for it"
        reason = entry.not_run or reason
        return None if reason is None else f"not run here: {' '.join(str(reason).split())}"

    def number(self, column: Column, method: str) -> PaperNumber:
        """What the paper says of a method in a column."""
        key = column.paper or column.key
        value, metric, note = (
            (cells.get(key) or {}).get(method) for cells in (self.numbers, self.metrics, self.notes)
        )
        known = None if value in (None, LOST) else float(value)
        return PaperNumber(known, value == LOST, metric, " ".join(str(note or "").split()))


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


def _linked(path: Path, content: dict[str, Any], key: str, kind: type = dict) -> Any:  # noqa: ANN401
    """A mapping or list, in place or in another file as `file.yaml#key`."""
    value = content.get(key)
    if isinstance(value, str):
        file, _, name = value.partition("#")
        value = _read_yaml(path.parent / file).get(name)
    if not isinstance(value, kind):
        what = "list" if kind is list else "table"
        raise ConfigError(f"{path}: {key}: {content.get(key)} names no {what}, nor is it one.")
    return value


def _first_of(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    kinds = {"methods": Entry, "columns": Column, "board": BoardPart, "has": Rule}
    kind = kinds.get(str(first["loc"][0]))
    if kind is None or first["type"] != "unexpected_keyword_argument":
        return f"{first_fault(error)}."
    return f"{first_fault(error)}; its keys are {', '.join(each.name for each in fields(kind))}."
