"""Comparison tables over seeds, and their renderers: Markdown, LaTeX (booktabs), tidy CSV."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lgan.errors import RunError, check_known
from lgan.reports.collect import Collection, Group, judges
from lgan.reports.columns import TableColumn, every_column, filled, usual_columns
from lgan.reports.frame import tidy
from lgan.reports.intransigence import REFERENCES, reference_of
from lgan.reports.setups import differing, setup_of
from lgan.run.columns import TRUSTED
from lgan.run.record import RunRecord

MOST_COLUMNS = 10
BEST_NOTE = "Bold: the best mean, of the methods that keep the rule of one task's data at a time."


@dataclass(frozen=True)
class Cell:
    """A mean over seeds, or a text (`mean` is None). `text` is plain, not escaped."""

    text: str
    mean: float | None = None
    best: bool = False  # of its column, among rows that keep the rule


@dataclass
class Table:
    """Plain texts and numbers; the renderers escape them for their format."""

    title: str
    titles: list[str]
    keys: list[str]
    rows: list[list[Cell]]
    notes: list[str] = field(default_factory=list)


def comparison_tables(found: Collection, columns: Sequence[str] | None = None) -> list[Table]:
    """One table per data set, mean ± standard deviation over seeds, the best method first.

    `columns` are keys (see `lgan.reports.columns`), or "all"; None for the few of `usual_columns`.
    """
    if not found.groups:
        raise RunError("there is no complete run to tabulate. " + " ".join(found.warnings))
    if columns:
        every = [record for group in found.groups for record in group.records]
        known = [column.key for column in every_column(every)]
        for key in columns:
            check_known("columns", key, ["all", *known])
        columns = known if "all" in columns else columns
    return [_comparison(name, found.of_data(name), columns) for name in found.data_names]


def _comparison(data: str, groups: Sequence[Group], keys: Sequence[str] | None) -> Table:
    records = [record for group in groups for record in group.records]
    known = filled(every_column(records), records)
    groups = ranked(groups, known)
    texts, told = differing([(group.label, setup_of(group.runs[0].config)) for group in groups])
    rules = [group.first.declaration for group in groups]
    about = {"method": [Cell(group.label) for group in groups]}
    if told:
        about["differs in"] = [Cell(text) for text in texts]
    if any(rules):
        about["declares"] = [Cell(rule or "–") for rule in rules]
    about["seeds"] = [Cell(str(len(group.runs)), float(len(group.runs))) for group in groups]
    usual = usual_columns(known, records, MOST_COLUMNS - len(about))
    columns = [c for c in known if c.key in keys] if keys else usual
    cells = [[over_seeds(group.records, column) for group in groups] for column in columns]
    most = max(group.first.num_tasks for group in groups)
    barred = [bool(g.first.declaration) or g.first.num_tasks < most for g in groups]
    marked = [_mark_best(*each, barred) for each in zip(columns, cells, strict=True)]
    rows = [list(row) for row in zip(*about.values(), *marked, strict=True)]
    notes = _notes(groups)
    if not keys and len(columns) < len(known):
        notes.append(f"Shown: {len(columns)} of {len(known)} columns; columns=all has every one.")
    if any(cell.best for row in rows for cell in row):
        notes.insert(1, BEST_NOTE if any(rules) else f"{BEST_NOTE.partition(',')[0]}.")
    titles = [*about, *(column.title for column in columns)]
    keys = [*(name.replace(" ", "_") for name in about), *(column.key for column in columns)]
    return Table(data, titles, keys, rows, [*notes, *told])


def ranked(groups: Sequence[Group], columns: Sequence[TableColumn]) -> list[Group]:
    """Groups by what says best who is good: the column of the lowest rank, then the next.

    Those of fewer tasks come last: a shorter sequence is easier.
    """
    judged = [column for column in columns if column.better and column.rank is not None]
    judged.sort(key=lambda column: column.rank or 0)

    def place(group: Group) -> tuple[float, ...]:
        means = [(column, over_seeds(group.records, column).mean) for column in judged]
        signed = [math.inf if mean is None else -mean if column.better == "higher" else mean
                  for column, mean in means]  # fmt: skip
        return (-group.first.num_tasks, *signed)

    return sorted(groups, key=place)


def _mark_best(column: TableColumn, cells: list[Cell], barred: Sequence[bool]) -> list[Cell]:
    """Mark the best mean among rows that are not barred, and what reads the same."""
    means = [math.nan if out or cell.mean is None else cell.mean
             for cell, out in zip(cells, barred, strict=True)]  # fmt: skip
    known = [mean for mean in means if not math.isnan(mean)]
    if not column.better or len(known) < 2:
        return cells
    best = max(known) if column.better == "higher" else min(known)
    shown = cells[means.index(best)].text.partition(" ")[0]
    alike = [not math.isnan(mean) and cell.text.partition(" ")[0] == shown
             for mean, cell in zip(means, cells, strict=True)]  # fmt: skip
    if sum(alike) == len(known):
        return cells
    return [replace(cell, best=same) for cell, same in zip(cells, alike, strict=True)]


def over_seeds(records: Sequence[RunRecord], column: TableColumn) -> Cell:
    """Mean ± sample standard deviation; says `n` where a number is missing for some seed."""
    # As people read it: fractions in percent, counts with thousands separators.
    is_count, scale = column.form == "count", 100.0 if column.form == "percent" else 1.0
    form = ",.0f" if is_count else f".{column.digits}f"
    if not (values := [value for value in map(column.read, records) if not math.isnan(value)]):
        return Cell("–")
    mean, sd = np.mean(values), np.std(values, ddof=1) if len(values) > 1 else 0.0
    text = f"{mean * scale:{form}}"
    if len(values) > 1 and (sd or not is_count):
        text += f" ± {sd * scale:{form}}"
    if len(values) < len(records):
        text += f" (n={len(values)})"
    return Cell(text, float(mean))


def _notes(groups: Sequence[Group]) -> list[str]:
    known = judges(groups)
    named = ", ".join(
        name if math.isnan(right) else f"{name} ({right:.1%} of the real test images right)"
        for name, right in known.items()
    )
    notes = [
        "Mean ± sample standard deviation over seeds, after the last task.",
        "accuracy_generated and diversity belong to generated images; measured with the evaluation "
        f"classifier {named}.",
    ]
    notes += [
        f"WARNING: {name} is right on {right:.1%} of the real images only; what is measured with "
        "it, accuracies and distances between its features, means little."
        for name, right in known.items()
        if right < TRUSTED
    ]
    if any(name.startswith("fid_") for g in groups for r in g.records for name in r.metric_names()):
        notes.append(
            "FID, AFQ: the mean over the tasks after the last one; AIQ: that mean averaged over "
            "all borders; pooled: of all tasks' images at once."
        )
    if len({group.first.num_tasks for group in groups}) > 1:
        notes.append("Rows of fewer tasks stand last, without bold: a shorter sequence is easier.")
    if len(known) > 1:
        notes.append("The rows were measured with different classifiers: compare with care.")
    notes += _reference_notes(groups)
    notes += [
        f"{group.label} breaks the rule of one task's data at a time: {group.first.declaration}."
        for group in groups
        if group.first.declaration
    ]
    return notes


def _reference_notes(groups: Sequence[Group]) -> list[str]:
    folders = {id(run.record): run.folder.name for group in groups for run in group.runs}
    records = [record for group in groups for record in group.records]
    notes = []
    for metric in REFERENCES:
        found = (reference_of(record, metric, records) for record in records)
        if names := sorted({folders[id(each)] for each in found if each}):
            notes.append(
                f"Intransigence of {metric}: that of {', '.join(names)} on a task right after it, "
                "less the method's own; with the same data, order, network, steps and seed."
            )
    return notes


# ------------------------------------------------------------------------------------ renderers


def markdown(tables: Iterable[Table]) -> str:
    """All tables as GitHub Markdown; every text is escaped."""
    lines: list[str] = []
    for table in tables:
        head, *rows = (f"| {' | '.join(row)} |" for row in _texts(table, escape_markdown, "**{}**"))
        rule = "|" + "|".join("---:" if n else "---" for n in _numeric(table)) + "|"
        notes = (f"- {escape_markdown(note)}" for note in table.notes)
        lines += [f"### {escape_markdown(table.title)}", "", head, rule, *rows, "", *notes, ""]
    return "\n".join(lines)


def latex(tables: Iterable[Table]) -> str:
    r"""All tables as LaTeX with booktabs (`\usepackage{booktabs}`); every text is escaped."""
    lines = ["% needs \\usepackage{booktabs}"]
    for table in tables:
        spec = "".join("r" if numeric else "l" for numeric in _numeric(table))
        # Braces keep a leading "[" from being taken for the argument of the line break before.
        texts = _texts(table, escape_latex, r"\textbf{{{}}}")
        cells = ([f"{{{text}}}" for text in row] for row in texts)
        head, *rows = (" & ".join(row) + r" \\" for row in cells)
        lines += ["\\begin{table}", "\\centering", f"\\caption{{{escape_latex(table.title)}}}"]
        lines += [f"\\begin{{tabular}}{{{spec}}}", "\\toprule", head, "\\midrule", *rows]
        lines += ["\\bottomrule", "\\end{tabular}"]
        lines += [f"\\par\\footnotesize {escape_latex(note)}" for note in table.notes]
        lines += ["\\end{table}", ""]
    return "\n".join(lines)


def to_csv(found: Collection) -> str:
    """Every number of every run on a line of its own, as `lgan.results` has them."""
    frame = tidy((run.folder, run.record) for group in found.groups for run in group.runs)
    for name in ("run", "method", "metric"):
        frame[name] = frame[name].map(escape_csv)
    return frame.to_csv(index=False, lineterminator="\n")


def _texts(table: Table, escape: Callable[[str], str], strong: str) -> list[list[str]]:
    rows = [[strong.format(escape(cell.text)) if cell.best else escape(cell.text) for cell in row]
            for row in table.rows]  # fmt: skip
    return [[*map(escape, table.titles)], *rows]


def _numeric(table: Table) -> list[bool]:
    return [any(row[i].mean is not None for row in table.rows) for i in range(len(table.titles))]


def escape_markdown(text: str) -> str:
    """Make a text inert in Markdown: no markup, no HTML, no table or line break."""
    flat = " ".join(text.split())
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", flat)


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "±": r"$\pm$", "–": "--", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
}  # fmt: skip


def escape_latex(text: str) -> str:
    """Make a text inert in LaTeX; our own ±, – and arrows become their commands."""
    return "".join(_LATEX.get(char, char) for char in " ".join(text.split()))


def escape_csv(text: str) -> str:
    """Keep a spreadsheet from reading a text as a formula (the csv module does the quoting)."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
