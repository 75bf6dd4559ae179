"""The report: one HTML file with everything in it, for any browser, offline, on screen or paper."""

import math
from collections.abc import Sequence
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from lgan import __version__
from lgan.errors import RunError
from lgan.results import figures, grids
from lgan.results.collect import Collection, Group
from lgan.results.columns import matrix_metrics
from lgan.results.drift_figures import drifts, is_exact, of_old_tasks
from lgan.results.report_capacity import (
    NOISE,
    PICTURES,
    Picture,
    capacity_pictures,
    disk_table,
    parameter_table,
    picture,
    retention_picture,
    retention_table,
)
from lgan.results.tables import Table, comparison_tables

METRIC, HEAD_METRIC = "accuracy_generated", "accuracy_single_head"


def render(found: Collection, title: str = "lgan report") -> str:
    """The report as HTML text; all names are escaped, nothing is loaded from elsewhere."""
    if not found.groups:
        raise RunError("there is no complete run to report on. " + " ".join(found.warnings))
    tables = enumerate(comparison_tables(found))
    parts = [_data_part(index, table, found.of_data(table.title)) for index, table in tables]
    environment = Environment(
        loader=PackageLoader("lgan.results", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.j2")
    return template.render(title=title, parts=parts, warnings=found.warnings, version=__version__)


def _data_part(index: int, table: Table, groups: list[Group]) -> dict[str, Any]:
    """What the report shows of one data set."""
    source = source_of(groups)
    return {
        "name": table.title,
        "tables": split(table),
        "notes": table.notes,
        "tasks": groups[0].first.tasks,
        "curves": [_curves(table, groups, metric) for metric in (METRIC, HEAD_METRIC)],
        "source": source,
        "retention": retention_table(groups),
        "drift": retention_picture(groups, source),
        "methods": [_method_part(f"m{index}-{i}", group) for i, group in enumerate(groups)],
    }


def _method_part(anchor: str, group: Group) -> dict[str, Any]:
    """What the report shows of one method."""
    first = group.first
    return {
        "anchor": anchor,
        "label": group.label,
        "declaration": first.declaration,
        "seeds": [record.seed for record in group.records],
        "curves": _task_curves(group) if METRIC in first.metric_names() else None,
        "matrices": [_matrix_picture(group, name) for name in matrix_metrics(first)],
        "samples": _samples_picture(group),
        "capacity": capacity_pictures(group),
        "disk": disk_table(group),
        "retention": retention_sentence(group),
        "parameters": parameter_table(group),
        "references": first.references,
        "differing": group.differing,
        "settings": yaml.safe_dump(group.runs[0].config, sort_keys=False, allow_unicode=True),
    }


def split(table: Table, most: int = 7) -> list[Table]:
    """Cut a table too wide for a page into tables of at most so many columns beside the name."""
    others = len(table.titles) - 1
    count = math.ceil(others / most)
    width = math.ceil(others / count)
    parts = []
    for index in range(count):
        shown = [0, *range(1 + index * width, min(1 + (index + 1) * width, others + 1))]
        title = table.title if count == 1 else f"{table.title} ({index + 1} of {count})"
        rows = [[row[i] for i in shown] for row in table.rows]
        titles, keys = [table.titles[i] for i in shown], [table.keys[i] for i in shown]
        parts.append(Table(title, titles, keys, rows))
    return parts


def source_of(groups: Sequence[Group]) -> str:
    """What the groups' images are drawn from, in words."""
    return PICTURES if any(grids.translates(group.runs[0]) for group in groups) else NOISE


def retention_sentence(group: Group) -> str:
    """Whether images of old tasks from fixed inputs stayed the same bits, over all seeds."""
    if math.isnan(largest := drifts(group)[-1]):
        return "not measured"
    if is_exact(group):
        return f"exact: images of old tasks from {source_of([group])} never changed by a bit"
    last = [e for r in group.records for e in of_old_tasks(r, len(r.rows) - 1)]
    mean = sum(entry["mean_drift"] for entry in last) / len(last)
    return (
        f"drift: after the last task, pixels of old tasks' images from {source_of([group])} have "
        f"moved by {mean:.3g} on average, {largest:.3g} at most (pixel range 2)"
    )


def _curves(table: Table, groups: list[Group], metric: str) -> Picture | None:
    measured = [group for group in groups if metric in group.first.metric_names()]
    return picture(
        figures.mean_curves(groups, metric),
        f"Mean {metric} of the tasks seen so far after each task on {table.title}: "
        + "; ".join(_ends(group, metric) for group in measured),
        f"Mean {metric} over the tasks seen so far, after each task; the band is ± 1 standard "
        "deviation over seeds.",
    )


def _task_curves(group: Group) -> Picture | None:
    return picture(
        figures.task_curves(group, METRIC),
        f"{METRIC} of each task after each later task, {group.label}: {_ends(group)}",
        "Each task from when it was learnt to the end, mean over seeds.",
    )


def _matrix_picture(group: Group, metric: str) -> Picture | None:
    last = ", ".join(f"{value:.3g}" for value in figures.mean_matrix(group, metric)[-1])
    unit = ", in %" if figures.is_share(metric) else ""
    return picture(
        figures.matrix_heatmap(group, metric),
        f"Result matrix of {metric}, {group.label}; last row: {last}",
        f"{metric}{unit}, mean over seeds",
    )


def _samples_picture(group: Group) -> Picture | None:
    run = group.runs[0]
    tasks, rows, seed = run.record.tasks, len(run.record.rows), run.record.seed
    if grids.translates(run):
        alt = (
            f"Translations by {group.label}: test pictures of {len(tasks)} tasks (rows) "
            f"as input, target where there is one, and output after each of {rows} tasks (columns)"
        )
        caption = (
            f"Test pictures, the same in every column, seed {seed}: input, target where "
            "pictures are paired, output after each task. A task stands in its rows from when it "
            "was learnt."
        )
    else:
        classes = sum(len(task["classes"]) for task in tasks)
        alt = (
            f"Generated images, {group.label}: {classes} classes "
            f"(rows) after each of {rows} tasks (columns), from the same noise"
        )
        caption = (
            f"Images from fixed noise, the same in every column, seed {seed}. A class "
            "stands in its row from the task that taught it."
        )
    return picture(grids.run_grid(run), alt, caption)


def _ends(group: Group, metric: str = METRIC) -> str:
    last = figures.mean_matrix(group, metric)[-1]
    return (
        f"{group.label} ends at {100 * last.mean():.1f} % over all tasks, "
        f"{100 * last[0]:.1f} % on the first"
    )
