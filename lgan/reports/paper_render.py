"""A paper's table as Markdown and figures: ours beside the paper's."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from lgan.errors import ConfigError, check_known
from lgan.files import file_names, write_atomically
from lgan.reports.board import board
from lgan.reports.collect import Group, Run
from lgan.reports.paper import Outcome, Outcomes, Plan, read, spread
from lgan.reports.paper_file import Column, PaperTable
from lgan.reports.tables import escape_markdown
from lgan.run.columns import TRUSTED


def publish(
    plan: Plan, outcomes: Outcomes, departures: Sequence[str], say: Callable[[str], None]
) -> str:
    """Write a plan's table, which is returned, and figures: `<stem>.md`, `<stem>[-<name>].png`."""
    output, names = plan.folder / f"{plan.stem}.md", []
    files = file_names([f"-{key}" if key else "" for key in plan.table.figures])
    for (key, asked), file in zip(plan.table.figures.items(), files, strict=True):
        path = output.with_name(f"{plan.stem}{file if key else ''}.png")
        picture = _draw(plan, outcomes, dict(asked))
        if picture is None:
            say(f"not drawn: {path.name}, no run has what it shows")
            continue
        write_atomically(path, picture)
        say(f"written: {path}")
        names.append(path.name)
    text = render(plan, outcomes, names, departures)
    write_atomically(output, text)
    say(f"written: {output}")
    return text


def render(
    plan: Plan, outcomes: Outcomes, pictures: Sequence[str] = (), departures: Sequence[str] = ()
) -> str:
    """Markdown: ours (mean ± sd over seeds) beside the paper's, and the difference.

    Where a method is read in another metric than its column's, every row says its metric. A row
    that neither the paper nor we have a number for is left out. The figures of the files
    `pictures` are shown below the table, and then the `departures` from paper and code.
    """
    table, plain = plan.table, escape_markdown
    note = str(table.budgets[plan.budget].get("note", ""))
    lines = [f"# {plain(table.title)}", ""]
    lines += [f"Paper: {plain(table.source)}", ""] if table.source else []
    lines += [f"Budget **{plain(plan.budget)}**: {plain(note)}", ""]
    lines += board(plan, outcomes) if table.board else []
    for part in dict.fromkeys(column.part for column in table.columns):
        lines += [f"## {plain(part)}", ""] if part else []
        lines += [*_part(table, part, plan.methods, outcomes), ""]
    for name in pictures:
        lines += [f"![{plain(name)}]({name})", ""]
    lines += [f"- {plain(line)}" for line in (*table.remarks, *_classifier_lines(outcomes))]
    if departures:
        lines += ["", "Where these runs depart from the paper and its code:", ""]
        lines += [f"- {plain(line)}" for line in departures]
    return "\n".join([*lines, ""])


def _part(table: PaperTable, part: str, methods: Sequence[str], outcomes: Outcomes) -> list[str]:
    """The lines of one part; where the paper has no number at all, it has no columns for one."""
    columns = [column for column in table.columns if column.part == part]
    beside = not part or any(
        table.number(column, method).present for column in columns for method in table.methods
    )
    metrics = any(entry.metric for entry in table.methods.values())
    header = ["", "method", *(["metric of ours"] if metrics else []), "ours", "seeds",
              *(["paper", "ours - paper"] if beside else []), "remark"]  # fmt: skip
    rule = ["---"] * (3 if metrics else 2) + ["---:"] * (4 if beside else 2) + ["---"]
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join(rule) + "|"]
    for column in columns:
        for method in methods:
            cells = _cells(table, column, method, outcomes[column.run, method], metrics)
            if shown := cells if beside else [*cells[:-3], *cells[-1:]]:
                lines.append("| " + " | ".join(map(escape_markdown, shown)) + " |")
    return lines


def _cells(
    table: PaperTable, column: Column, method: str, outcome: Outcome, metrics: bool
) -> list[str]:
    entry, paper = table.methods[method], table.number(column, method)
    if column.only is not None and method not in column.only:
        return []
    if not outcome.records and not paper.present and entry.runs is not None:
        return []
    reading = read(column, entry.metric_of(column), outcome, entry.also)
    same = paper.metric in (None, reading.metric)
    ours, difference = "–", "–"
    if reading.values:
        ours = spread(reading.values, column.digits)
        if paper.value is not None and same and reading.comparable:
            difference = f"{float(np.mean(reading.values)) - paper.value:+,.{column.digits}f}"
    shown = [reading.metric if reading.values else "–"] if metrics else []
    stated = "lost" if paper.lost else "not reported"
    if paper.value is not None:
        stated = f"{paper.value:,.{column.digits}f}"
    other = "" if same or not paper.present else f"the paper's number is {paper.metric}"
    remark = "; ".join(filter(None, dict.fromkeys([*reading.remarks, other, paper.note])))
    return [column.title, entry.title or method, *shown, ours, str(len(reading.values)),
            stated, difference, remark]  # fmt: skip


def _classifier_lines(outcomes: Outcomes) -> list[str]:
    lines = []
    for (run, _), outcome in outcomes.items():
        for known in (record.references for record in outcome.records):
            if isinstance(accuracy := known.get("classifier_test_accuracy"), float):
                doubt = "WARNING: " if accuracy < TRUSTED else ""
                lines.append(
                    f"{doubt}{run}: evaluation classifier {known.get('classifier', '?')}, "
                    f"{100 * accuracy:.2f} % on real test images; "
                    f"{known.get('samples_per_class', '?')} generated images per class."
                )
    return list(dict.fromkeys(lines))


def _draw(plan: Plan, outcomes: Outcomes, asked: dict[str, Any]) -> bytes | None:
    """Draw what a table's file names under `figure`; None where no run has what it shows.

    That is a function `(groups, **parameters) -> PNG bytes | None`, given a group of runs for each
    method that has records; its key `run` picks the run (default: the first, of a board all),
    `methods` methods.
    """
    table = plan.table
    every = list(table.runs) if table.board else [next(iter(table.runs))]
    runs = [asked.pop("run")] if "run" in asked else every
    chosen = asked.pop("methods", None) or plan.methods
    for name in (*runs, *chosen):
        check_known("figure", name, [*table.runs, *table.methods])
    groups = [
        Group(table.methods[name].title or name, [Run(Path(), one, {}) for one in made])
        for name in plan.methods
        if name in chosen and (made := [r for run in runs for r in outcomes[run, name].records])
    ]
    try:
        return instantiate(asked, _partial_=True, _convert_="all")(groups) if groups else None
    except (InstantiationException, TypeError) as error:
        raise ConfigError(f"figure: {asked['_target_']} cannot be drawn: {error}") from error
