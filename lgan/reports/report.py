"""The report: one HTML file with everything in it, for any browser, offline, on screen or paper."""

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from lgan import __version__
from lgan.errors import RunError
from lgan.files import file_names, write_atomically
from lgan.reports import capacity_figures as drawn
from lgan.reports import charts, figures, grids
from lgan.reports.collect import Collection, Group
from lgan.reports.columns import DISK_FORMATS, every_column, matrix_metrics
from lgan.reports.drift_figures import drift_curves, drifts, is_exact
from lgan.reports.sprites import gallery
from lgan.reports.tables import Cell, Table, comparison_tables, over_seeds
from lgan.run.columns import Column

METRIC = "accuracy_generated"
# What a row may hold, by its path, and how the report's tables head it.
PARAMETERS = {
    "parameters.trained": "trained in the task",
    "parameters.added": "added by the task",
    "parameters.stored": "stored for all tasks",
    "parameters.full": "T × Full",
    "parameters.stored / parameters.full": "stored / (T × Full), %",
    "parameters.discriminator": "discriminator",
    "parameters.total": "total",
    "parameters.masked_weights": "maskable weights",
    "parameters.norms_heads": "norms and heads",
}
DISK = {f"disk.{name}": f"{title}, bytes" for name, title in DISK_FORMATS.items()}


def render(found: Collection, title: str = "lgan report") -> str:
    """The report as HTML text; all names are escaped, nothing is loaded from elsewhere."""
    if not found.groups:
        raise RunError("there is no complete run to report on. " + " ".join(found.warnings))
    tables = enumerate(comparison_tables(found))
    parts = [_data_part(index, table, found) for index, table in tables]
    loader = PackageLoader("lgan.reports", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters |= {
        "form": format,
        "base64": lambda png: base64.b64encode(png).decode(),
        "breakable": lambda text: escape(text).replace("_", Markup("_<wbr>")),
    }
    script = environment.get_template("report.js.j2").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        title=title, parts=parts, warnings=found.warnings, version=__version__,
        size=charts, script=Markup(script), digest=digest, live=_live(parts),
    )  # fmt: skip


def save_figures(found: Collection, folder: Path) -> int:
    """Write the report's main figures as PNG files, for READMEs and papers; return how many."""
    pictures: dict[str, bytes | None] = {}
    for data in found.data_names:
        groups = found.of_data(data)
        measured = [group for group in groups if METRIC in group.first.metric_names()]
        pictures[f"{data}\0curves"] = figures.mean_curves(measured, METRIC)
        pictures[f"{data}\0drift"] = drift_curves(groups)
        for group in groups:
            stem = f"{data}\0{group.label}\0"
            if group in measured:
                pictures[f"{stem}matrix"] = figures.png(figures.matrix_figure(group, METRIC))
            pictures[f"{stem}growth"] = drawn.growth_curve([group])
            pictures[f"{stem}reuse"] = drawn.reuse_shares([group])
            pictures[f"{stem}masks"] = drawn.mask_evolution([group])
            samples = grids.run_figure(group.runs[0])
            pictures[f"{stem}samples"] = figures.png(samples) if samples else None
    written = {name: png for name, png in pictures.items() if png is not None}
    for name, png in zip(file_names(list(written)), written.values(), strict=True):
        write_atomically(folder / f"{name}.png", png)
    return len(written)


def _data_part(index: int, table: Table, found: Collection) -> dict[str, Any]:
    by_label = {group.label: group for group in found.of_data(table.title)}
    groups = [by_label[row[0].text] for row in table.rows]  # the best first
    names = matrix_metrics(group.first for group in groups)
    whole = next(t for t in comparison_tables(found, ["all"]) if t.title == table.title)
    return {
        "name": table.title,
        "sentence": sentence(groups),
        "table": table,
        "every": split(whole),
        "tasks": max((group.first for group in groups), key=lambda r: r.num_tasks).task_names,
        "gallery": gallery(groups),
        "metrics": [_metric_part(groups, name, column) for name, column in names.items()],
        "cost": _cost_part(groups, table),
        "translates": any(grids.translates(group.runs[0]) for group in groups),
        "retention": retention_table(groups),
        "drift": _drift_part(groups),
        "methods": [_method_part(f"m{index}-{i}", group) for i, group in enumerate(groups)],
    }  # fmt: skip


def sentence(groups: Sequence[Group]) -> str:
    """Say what was run: how many methods, tasks, classes and seeds, and how the rows are judged."""
    first = groups[0].first
    seeds = sorted({len(group.runs) for group in groups})
    counts = sorted({group.first.num_tasks for group in groups})
    classes = len({c for task in first.tasks for c in task["classes"]})
    kinds = [f"{len(groups)} method{'s' * (len(groups) > 1)}", f"learnt {first.data}"]
    of = "" if grids.translates(groups[0].runs[0]) else f" with {classes} classes in all"
    return (
        f"{' '.join(kinds)}, a sequence of {' or '.join(map(str, counts))} tasks{of}, each with "
        f"{' to '.join(map(str, {seeds[0]: 0, seeds[-1]: 0}))} seed{'s' * (seeds[-1] > 1)}. "
        "After every task, all tasks so far were measured again."
    )


def _metric_part(groups: Sequence[Group], name: str, column: Column) -> dict[str, Any]:
    """A metric's curves and matrices, of all methods on one scale."""
    have = [(k, g) for k, g in enumerate(groups) if name in g.first.metric_names()]
    matrices = {k: figures.mean_matrix(group, name) for k, group in have}
    share = column.form == "percent"
    low, high = charts.span(np.concatenate([m.ravel() for m in matrices.values()]), share)
    axis = charts.Axis(low, high, charts.HEIGHT - charts.BOTTOM, charts.TOP)
    lines = [(k, *figures.mean_curve(group, name)) for k, group in have]
    lower = column.better == "lower"
    unit = "%" if share else ""
    bar = [f"{100 * v:g} %" if share else f"{v:.4g}" for v in (low, high)]
    return {
        "name": name, "unit": unit, "lower": lower, "bar": bar[::-1] if lower else bar,
        "chart": charts.line_chart(lines, f"{name}{', %' if share else ''}", axis, share),
        "maps": [(k, g.label, charts.heat_map(matrices[k], low, high, lower)) for k, g in have],
        "ends": [(g.label, matrices[k][-1]) for k, g in have],
        "note": figures.judge_note([group for _, group in have], name),
    }  # fmt: skip


def _cost_part(groups: Sequence[Group], table: Table) -> dict[str, Any] | None:
    """What methods store against how good they are, by the table's first column."""
    records = [record for group in groups for record in group.records]
    columns = {column.key: column for column in every_column(records)}
    key = next((key for key in table.keys if key in columns and columns[key].better), "")
    if not key or "parameters_stored" not in columns:
        return None
    cost, quality = (
        [over_seeds(group.records, columns[name]).mean for group in groups]
        for name in ("parameters_stored", key)
    )
    points = [(k, groups[k].label, c, q) for k, (c, q) in enumerate(zip(cost, quality, strict=True))
              if c is not None and q is not None]  # fmt: skip
    chart = charts.scatter(points, columns[key].form == "percent") if len(points) > 1 else None
    return chart and chart | {"label": columns[key].title}


def _drift_part(groups: Sequence[Group]) -> dict[str, Any] | None:
    largest = [(k, drifts(group)) for k, group in enumerate(groups)]
    known = [(k, line, None) for k, line in largest if not np.isnan(line).all()]
    if not known:
        return None
    mean = [(k, drifts(groups[k], "mean_drift")) for k, *_ in known]
    axis = charts.Axis(0, 4, charts.HEIGHT - charts.BOTTOM, charts.TOP, log=True)
    return charts.line_chart(known, "drift, of a pixel range of 2", axis, dashed=mean) | {
        "ends": [(groups[k].label, line[-1]) for k, line, _ in known]
    }


def _method_part(anchor: str, group: Group) -> dict[str, Any]:
    first, run, layers = group.first, group.runs[0], drawn.capacity(group)
    largest, mean = drifts(group)[-1], drifts(group, "mean_drift")[-1]
    return {
        "anchor": anchor,
        "label": group.label,
        "first": first,
        "seeds": [record.seed for record in group.records],
        "drift": None if math.isnan(largest) else (largest, mean),
        "exact": is_exact(group),
        "translates": grids.translates(run),
        "growth": drawn.growth_curve([group]),
        "sizes": drawn.series(group, drawn.WEIGHTS),
        "reuse": drawn.reuse_shares([group]),
        "shares": drawn.shares(layers) if layers else None,
        "courses": [
            (task, course, drawn.mask_evolution([group], task))
            for task in sorted({0, len(first.rows) - 1})
            if (course := drawn.evolution_of(group, task))
        ],
        "disk": over_tasks(group, DISK),
        "parameters": over_tasks(group, PARAMETERS),
        "differing": group.differing,
        "settings": yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True),
    }  # fmt: skip


def _live(parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the script needs beside the page, by part: pictures of other borders, and numbers."""
    return [
        {
            "tasks": part["gallery"].get("tasks", []),
            "strips": [
                {"after": {t: uri for t, uri in strip["after"].items() if t != max(strip["after"])},
                 "rows": strip["rows"]}
                for strip in part["gallery"].get("strips", [])
            ],
            "metrics": [{str(k): heat["values"] for k, _, heat in metric["maps"]}
                        for metric in part["metrics"]],
        }
        for part in parts
    ]  # fmt: skip


def split(table: Table, most: int = 7) -> list[Table]:
    """Cut a table too wide for a page into tables of at most so many columns beside the name."""
    count = math.ceil((len(table.titles) - 1) / most)
    parts = []
    for index, places in enumerate(np.array_split(np.arange(1, len(table.titles)), count)):
        title = table.title if count == 1 else f"{table.title} ({index + 1} of {count})"
        shown = itemgetter(0, *places.tolist())
        rows = [[*shown(row)] for row in table.rows]
        parts.append(Table(title, [*shown(table.titles)], [*shown(table.keys)], rows))
    return parts


def over_tasks(group: Group, titles: Mapping[str, str]) -> Table | None:
    """What rows hold after each task, means over seeds, a column per path; None if nothing."""
    lines = {path: drawn.series(group, path) for path in titles}
    known = {path: line for path, line in lines.items() if not np.isnan(line).all()}
    if not known:
        return None
    rows = [
        [_cell(task), *(_cell(100 * line[task], ".1f") if "/" in path else _cell(line[task])
                            for path, line in known.items())]
        for task in range(group.first.num_tasks)
    ]  # fmt: skip
    heads = ["after task", *(titles[path] for path in known)]
    return Table(group.label, heads, ["task", *known], rows)


def _cell(value: float, form: str = ",.0f") -> Cell:
    return Cell("–") if math.isnan(value) else Cell(f"{value:{form}}", float(value))


def retention_table(groups: Sequence[Group]) -> Table | None:
    """How far old tasks' images have moved, a row per method; None if no run measured it."""
    rows = []
    for group in groups:
        largest, mean = drifts(group), drifts(group, "mean_drift")
        known = not np.isnan(largest).all()
        exact = ("yes" if is_exact(group) else "no") if known else "–"
        values = (largest[-1], np.fmax.reduce(largest), mean[-1])
        rows.append([Cell(group.label), Cell(exact), *(_cell(value, ".3g") for value in values)])
    if all(row[1].text == "–" for row in rows):
        return None
    columns = {"method": "method", "exact": "bitwise the same",
               "max_drift": "max drift after the last task", "max_drift_ever": "max drift ever",
               "mean_drift": "mean drift after the last task"}  # fmt: skip
    return Table("retention", [*columns.values()], [*columns], rows)
