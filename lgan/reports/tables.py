"""Comparison tables over seeds, and their renderers: Markdown, LaTeX (booktabs), CSV."""

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lgan.errors import ConfigError, RunError
from lgan.reports.collect import Collection, Group, judges
from lgan.reports.columns import TableColumn, default_columns
from lgan.reports.intransigence import REFERENCES, reference_of
from lgan.reports.setups import differing, setup_of
from lgan.run.columns import TRUSTED
from lgan.run.record import RunRecord


@dataclass(frozen=True)
class Cell:
    """A number over seeds, or a text (`mean` is None). `text` is plain, not escaped."""

    text: str
    mean: float | None = None
    sd: float | None = None
    n: int = 0


@dataclass
class Table:
    """Plain texts and numbers; the renderers escape them for their format."""

    title: str
    titles: list[str]
    keys: list[str]
    rows: list[list[Cell]]
    notes: list[str] = field(default_factory=list)


def comparison_tables(found: Collection, columns: Sequence[str] | None = None) -> list[Table]:
    """One table per data set, a row per method, mean ± standard deviation over seeds.

    `columns` are keys (see `lgan.reports.columns`), or "all"; None for those that are not hidden.
    """
    if not found.groups:
        raise RunError("there is no complete run to tabulate. " + " ".join(found.warnings))
    if columns:
        every = [record for group in found.groups for record in group.records]
        known = [column.key for column in default_columns(every)]
        columns = known if list(columns) == ["all"] else columns
        if unknown := [key for key in columns if key not in known]:
            raise ConfigError(f"columns: '{unknown[0]}' is none of {', '.join(known)}.")
    return [_comparison(name, found.of_data(name), columns) for name in found.data_names]


def _comparison(data: str, groups: Sequence[Group], keys: Sequence[str] | None) -> Table:
    records = [record for group in groups for record in group.records]
    known = default_columns(records)
    columns = [c for c in known if (c.key in keys if keys else not c.hidden)]
    filled = [c for c in columns if any(not math.isnan(value) for value in map(c.read, records))]
    texts, told = differing([(group.label, setup_of(group.runs[0].config)) for group in groups])
    rows = []
    for group, text in zip(groups, texts, strict=True):
        count, own = len(group.runs), [Cell(text)] if told else []
        about = [Cell(group.label), *own, Cell(group.first.declaration or "–")]
        seeds = Cell(str(count), float(count), None, count)
        rows.append([*about, seeds, *(over_seeds(group.records, column) for column in filled)])
    fixed = ["method", *(["differs in"] if told else []), "declares", "seeds"]
    titles = [*fixed, *(column.title for column in filled)]
    keys = [*(name.replace(" ", "_") for name in fixed), *(c.key for c in filled)]
    return Table(data, titles, keys, rows, [*_notes(groups), *told])


def over_seeds(records: Sequence[RunRecord], column: TableColumn) -> Cell:
    """Mean ± sample standard deviation; says `n` where a number is missing for some seed."""
    # As people read it: fractions in percent, counts with thousands separators.
    is_count, scale = column.form == "count", 100.0 if column.form == "percent" else 1.0
    form = ",.0f" if is_count else f".{column.digits}f"
    if not (values := [value for value in map(column.read, records) if not math.isnan(value)]):
        return Cell("–")
    mean = float(np.mean(values))
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    text = f"{mean * scale:{form}}"
    if sd is not None and (sd or not is_count):
        text += f" ± {sd * scale:{form}}"
    if len(values) < len(records):
        text += f" (n={len(values)})"
    return Cell(text, mean, sd, len(values))


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
    """Return which runs intransigence is measured against, a line for each metric."""
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
        head, *rows = (f"| {' | '.join(map(escape_markdown, row))} |" for row in _texts(table))
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
        cells = ([f"{{{escape_latex(text)}}}" for text in row] for row in _texts(table))
        head, *rows = (" & ".join(row) + r" \\" for row in cells)
        lines += ["\\begin{table}", "\\centering", f"\\caption{{{escape_latex(table.title)}}}"]
        lines += [f"\\begin{{tabular}}{{{spec}}}", "\\toprule", head, "\\midrule", *rows]
        lines += ["\\bottomrule", "\\end{tabular}"]
        lines += [f"\\par\\footnotesize {escape_latex(note)}" for note in table.notes]
        lines += ["\\end{table}", ""]
    return "\n".join(lines)


def to_csv(tables: Iterable[Table]) -> str:
    """All tables as one, `data` first, with raw numbers, `<key>`, `<key>_sd`, `<key>_n`."""
    rows = [_csv_row(table, cells) for table in tables for cells in table.rows]
    keys = list(dict.fromkeys(key for row in rows for key in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, keys, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _csv_row(table: Table, cells: Sequence[Cell]) -> dict[str, str]:
    row = {"data": escape_csv(table.title)}
    for key, cell in zip(map(escape_csv, table.keys), cells, strict=True):
        if cell.mean is None:
            row[key] = "" if cell.text == "–" else escape_csv(cell.text)
        elif key == "seeds":
            row[key] = str(cell.n)
        else:
            sd = "" if cell.sd is None else repr(cell.sd)
            row |= {key: repr(cell.mean), f"{key}_sd": sd, f"{key}_n": str(cell.n)}
    return row


def _texts(table: Table) -> list[list[str]]:
    return [table.titles, *([cell.text for cell in row] for row in table.rows)]


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


RENDERERS = {"markdown": markdown, "latex": latex, "csv": to_csv}
