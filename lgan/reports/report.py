"""The report: one HTML file with everything in it, for any browser, offline, on screen or paper."""

import base64
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from lgan import __version__
from lgan.errors import RunError
from lgan.files import file_names, write_atomically
from lgan.reports import capacity_figures as drawn
from lgan.reports import figures, grids
from lgan.reports.collect import Collection, Group
from lgan.reports.columns import DISK_FORMATS, matrix_metrics
from lgan.reports.drift_figures import drift_curves, drifts, is_exact
from lgan.reports.tables import Cell, Table, comparison_tables

METRIC, HEAD_METRIC = "accuracy_generated", "accuracy_single_head"
# What a row's `parameters` may hold, and how the report's table heads it.
PARAMETERS = {
    "trained": "trained in the task",
    "added": "added by the task",
    "stored": "stored for all tasks",
    "full": "T × Full",
    "stored / parameters.full": "stored / (T × Full), %",
    "discriminator": "discriminator",
    "total": "total",
    "masked_weights": "maskable weights",
    "norms_heads": "norms and heads",
}


def render(found: Collection, title: str = "lgan report") -> str:
    """The report as HTML text; all names are escaped, nothing is loaded from elsewhere."""
    if not found.groups:
        raise RunError("there is no complete run to report on. " + " ".join(found.warnings))
    tables = enumerate(comparison_tables(found))
    parts = [_data_part(index, table, found.of_data(table.title)) for index, table in tables]
    loader = PackageLoader("lgan.reports", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters |= {"form": format, "base64": lambda png: base64.b64encode(png).decode()}
    return environment.get_template("report.html.j2").render(
        title=title, parts=parts, warnings=found.warnings, version=__version__, metric=METRIC
    )


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
                pictures[f"{stem}matrix"] = figures.matrix_heatmap(group, METRIC)
            pictures[f"{stem}growth"] = drawn.growth_curve([group])
            pictures[f"{stem}reuse"] = drawn.reuse_shares([group])
            pictures[f"{stem}masks"] = drawn.mask_evolution([group])
            pictures[f"{stem}samples"] = grids.run_grid(group.runs[0])
    written = {name: png for name, png in pictures.items() if png is not None}
    for name, png in zip(file_names(list(written)), written.values(), strict=True):
        write_atomically(folder / f"{name}.png", png)
    return len(written)


def _data_part(index: int, table: Table, groups: list[Group]) -> dict[str, Any]:
    last_drifts = [(group.label, drifts(group)[-1]) for group in groups]
    return {
        "name": table.title,
        "tables": split(table),
        "notes": table.notes,
        "tasks": groups[0].first.tasks,
        # Curves, and the last row of the result matrix by label, of the groups that have a metric.
        "curves": [
            (metric, figures.mean_curves(groups, metric),
             [(group.label, figures.mean_matrix(group, metric)[-1])
              for group in groups if metric in group.first.metric_names()])
            for metric in (METRIC, HEAD_METRIC)
        ],
        "translates": any(grids.translates(group.runs[0]) for group in groups),
        "retention": retention_table(groups),
        "drift": drift_curves(groups),
        "drifts": [(label, value) for label, value in last_drifts if not math.isnan(value)],
        "methods": [_method_part(f"m{index}-{i}", group) for i, group in enumerate(groups)],
    }  # fmt: skip


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
        "curves": figures.task_curves(group, METRIC) if METRIC in first.metric_names() else None,
        "last": figures.mean_matrix(group, METRIC)[-1],
        "matrices": [
            (name, figures.is_share(name), figures.mean_matrix(group, name)[-1],
             figures.matrix_heatmap(group, name))
            for name in matrix_metrics(first)
        ],
        "translates": grids.translates(run),
        "samples": grids.run_grid(run),
        "growth": drawn.growth_curve([group]),
        "sizes": drawn.series(group, drawn.WEIGHTS),
        "reuse": drawn.reuse_shares([group]),
        "shares": drawn.shares(layers) if layers else None,
        "courses": [
            (task, course, drawn.mask_evolution([group], task))
            for task in sorted({0, len(first.rows) - 1})
            if (course := drawn.evolution_of(group, task))
        ],
        "disk": disk_table(group),
        "parameters": parameter_table(group),
        "differing": group.differing,
        "settings": yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True),
    }  # fmt: skip


def split(table: Table, most: int = 7) -> list[Table]:
    """Cut a table too wide for a page into tables of at most so many columns beside the name."""
    others = len(table.titles) - 1
    count = math.ceil(others / most)
    width, parts = math.ceil(others / count), []
    for index in range(count):
        shown = slice(1 + index * width, 1 + (index + 1) * width)
        title = table.title if count == 1 else f"{table.title} ({index + 1} of {count})"
        rows = [[row[0], *row[shown]] for row in table.rows]
        titles, keys = ([names[0], *names[shown]] for names in (table.titles, table.keys))
        parts.append(Table(title, titles, keys, rows))
    return parts


def parameter_table(group: Group) -> Table | None:
    """Parameters after each task, means over seeds; None if they were not counted."""
    titles = {f"parameters.{name}": title for name, title in PARAMETERS.items()}
    return _over_tasks(f"parameters of {group.label}", group, titles)


def disk_table(group: Group) -> Table | None:
    """Bytes after each task, means over seeds, a column per format; None if not recorded."""
    titles = {f"disk.{name}": f"{title}, bytes" for name, title in DISK_FORMATS.items()}
    return _over_tasks(f"disk space of {group.label}", group, titles)


def _over_tasks(title: str, group: Group, titles: Mapping[str, str]) -> Table | None:
    lines = {path: drawn.series(group, path) for path in titles}
    known = {path: line for path, line in lines.items() if drawn.is_known(line)}
    if not known:
        return None
    rows = [
        [_cell(task), *(_cell(100 * line[task], ".1f") if "/" in path else _cell(line[task])
                            for path, line in known.items())]
        for task in range(group.first.num_tasks)
    ]  # fmt: skip
    keys = [path.partition(".")[2].replace("parameters.", "") for path in known]
    return Table(title, ["after task", *(titles[path] for path in known)], ["task", *keys], rows)


def _cell(value: float, form: str = ",.0f") -> Cell:
    return Cell("–") if math.isnan(value) else Cell(f"{value:{form}}", float(value))


def retention_table(groups: Sequence[Group]) -> Table | None:
    """How far old tasks' images have moved, a row per method; None if no run measured it."""
    rows = []
    for group in groups:
        largest, mean = drifts(group), drifts(group, "mean_drift")
        cells = [Cell("–")] * 4
        if not np.isnan(largest).all():
            values = (largest[-1], np.nanmax(largest), mean[-1])
            exact = Cell("yes" if is_exact(group) else "no")
            cells = [exact, *(_cell(value, ".3g") for value in values)]
        rows.append([Cell(group.label), *cells])
    if all(row[1].text == "–" for row in rows):
        return None
    columns = {"method": "method", "exact": "bitwise the same",
               "max_drift": "max drift after the last task", "max_drift_ever": "max drift ever",
               "mean_drift": "mean drift after the last task"}  # fmt: skip
    return Table("retention", [*columns.values()], [*columns], rows)
