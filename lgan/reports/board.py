"""A board: methods on equal terms, over class orders and seeds, as Markdown.

Its `runs` are class orders of one data set. Each part prints a table of means, one of differences
run by run and of ranks, and one of what the orders spread beside what the seeds do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from lgan.reports.columns import TableColumn, every_column, filled
from lgan.reports.paper import Outcomes, Plan
from lgan.reports.paper_file import BoardPart
from lgan.reports.spreads import interval, mean_ranks, spread
from lgan.reports.tables import escape_markdown
from lgan.run.record import RunRecord, number

NONE = "–"
HOW = (
    "Mean ± half of the 95 % interval, Student's t over all runs, after the last task. Differences "
    "are of runs with the same class order and seed; an interval without 0 is bold, which it is in "
    "one of twenty by chance."
)
SPREADS = (
    "Spreads are sample standard deviations: over seeds within an order, over the orders' means, "
    "and what the latter would be if orders did not matter (sd over seeds / root of the number)."
)


def board(plan: Plan, outcomes: Outcomes) -> list[str]:
    """Return the lines of a plan's board."""
    lines: list[str] = []
    for part in plan.table.board:
        if not set(part.methods) & set(plan.methods):
            continue
        lines += [f"## {escape_markdown(part.title)}", "", *_Part(plan, part, outcomes).lines(), ""]
    return [*lines, *(f"- {escape_markdown(note)}" for note in _notes(plan, outcomes)), ""]


@dataclass
class _Part:
    plan: Plan
    part: BoardPart
    outcomes: Outcomes

    @cached_property
    def titles(self) -> dict[str, str]:
        """How the methods of this part that were asked for are called, escaped."""
        entries = self.plan.table.methods
        chosen = [method for method in self.part.methods if method in self.plan.methods]
        return {method: escape_markdown(entries[method].title or method) for method in chosen}

    @cached_property
    def records(self) -> dict[str, dict[tuple[str, int], RunRecord]]:
        """What ran, by method, class order and seed."""
        return {
            method: {
                (order, record.seed): record
                for order in self.plan.table.runs
                for record in self.outcomes[order, method].records
            }
            for method in self.titles
        }

    @cached_property
    def columns(self) -> dict[str, TableColumn]:
        """The part's columns that some run fills, by key."""
        # Of all parts: what a number is relative to, joint training, may stand in another one.
        known = every_column([r for its in self.outcomes.values() for r in its.records])
        asked = {*self.part.columns, *self.part.compare}
        own = [record for its in self.records.values() for record in its.values()]
        return {column.key: column for column in filled(known, own) if column.key in asked}

    def values(self, column: TableColumn) -> pd.DataFrame:
        """What the runs have in a column: a row per class order and seed, a column per method."""
        return pd.DataFrame({
            method: {pairing: column.read(record) for pairing, record in its.items()}
            for method, its in self.records.items()
        }, dtype=float)  # fmt: skip

    def lines(self) -> Iterator[str]:
        compare = [self.columns[key] for key in self.part.compare if key in self.columns]
        yield from self.means()
        if missing := [key for key in self.part.columns if key not in self.columns]:
            yield from ("", f"Not measured: {escape_markdown(', '.join(missing))}.")
        yield from ("", *self.differences(compare))
        if len(self.plan.table.runs) > 1:
            yield from ("", *self.spreads(compare))

    def means(self) -> list[str]:
        head, rows = ["method", "declares", "runs"], {}
        for method, its in self.records.items():
            declared = "; ".join(sorted({r.declaration for r in its.values() if r.declaration}))
            rows[method] = [self.titles[method], escape_markdown(declared) or NONE, str(len(its))]
        for column in (self.columns[key] for key in self.part.columns if key in self.columns):
            head.append(escape_markdown(column.title))
            values = self.values(column)
            for method, row in rows.items():
                row.append(_interval(column, *interval(values[method])))
        return _table(head, list(rows.values()))

    def differences(self, compare: Sequence[TableColumn]) -> list[str]:
        head, rows = ["method"], {method: [title] for method, title in self.titles.items()}
        against = [method for method in self.part.against if method in self.titles]
        for column in compare:
            values = self.values(column)
            ranks = mean_ranks(values, column.better or "higher")
            key = escape_markdown(column.key)
            head += [*(f"{key} less {self.titles[other]}'s" for other in against), "mean rank"]
            for method, row in rows.items():
                for other in against:
                    mean, half = interval(values[method] - values[other])
                    text = NONE if method == other else _interval(column, mean, half, "+")
                    row.append(f"**{text}**" if abs(mean) > half else text)
                row.append(NONE if math.isnan(ranks[method]) else f"{ranks[method]:.1f}")
        return _table(head, list(rows.values()))

    def spreads(self, compare: Sequence[TableColumn]) -> list[str]:
        head, rows = ["method"], {method: [title] for method, title in self.titles.items()}
        for column in compare:
            key = escape_markdown(column.key)
            head += [f"{key}: sd over seeds", "over orders", "over orders by chance"]
            values = self.values(column)
            for method, row in rows.items():
                row += [_number(column, each) for each in spread(values[method])]
        return _table(head, list(rows.values()))


def _interval(column: TableColumn, mean: float, half: float, sign: str = "") -> str:
    text = _number(column, mean, sign)
    constant = math.isnan(half) or (half == 0 and column.form == "count")
    return text if constant else f"{text} ± {_number(column, half)}"


def _number(column: TableColumn, value: float, sign: str = "") -> str:
    if math.isnan(value):
        return NONE
    if column.form == "count":
        return f"{value:{sign}z,.0f}"
    return f"{100 * value if column.form == 'percent' else value:{sign}z.{column.digits}f}"


def _notes(plan: Plan, outcomes: Outcomes) -> list[str]:
    orders = list(plan.table.runs)
    notes = [HOW, *([SPREADS] if len(orders) > 1 else [])]
    for order in orders if len(orders) > 1 else ():
        made = [r for method in plan.methods for r in outcomes[order, method].records]
        notes += [f"Class order {order}: {', '.join(record.task_names)}." for record in made[:1]]
    for (order, method), outcome in outcomes.items():
        title = plan.table.methods[method].title or method
        notes += [f"{order}, {title}: {outcome.problem}"] if outcome.problem else []
    rows = [row for outcome in outcomes.values() for r in outcome.records for row in r.rows]
    hours = sum(number(row.get("train_seconds", 0)) for row in rows) / 3600
    return [*notes, f"All runs trained for {hours:.1f} hours together, without evaluation."]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    first, *rest = (f"| {' | '.join(line)} |" for line in (head, *rows))
    return [first, f"|---|{'---:|' * (len(head) - 1)}", *rest]
