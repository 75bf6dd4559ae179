"""The report's tables of parameters, disk space and drift, for the runs that recorded them."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from lgan.results import capacity_figures as drawn
from lgan.results.collect import Group
from lgan.results.columns import DISK_FORMATS
from lgan.results.drift_figures import drifts, is_exact
from lgan.results.tables import Cell, Table

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


def parameter_table(group: Group) -> Table | None:
    """Parameters after each task, means over seeds; None if they were not counted."""
    titles = {f"parameters.{name}": title for name, title in PARAMETERS.items()}
    return _over_tasks(f"parameters of {group.label}", group, titles)


def disk_table(group: Group) -> Table | None:
    """Bytes after each task, means over seeds, a column per format; None if not recorded."""
    titles = {f"disk.{name}": f"{title}, bytes" for name, title in DISK_FORMATS.items()}
    return _over_tasks(f"disk space of {group.label}", group, titles)


def _over_tasks(title: str, group: Group, titles: Mapping[str, str]) -> Table | None:
    """A table of values of the rows, by path; None if no run has any."""
    lines = {path: drawn.series(group, path) for path in titles}
    known = {path: line for path, line in lines.items() if drawn.is_known(line)}
    if not known:
        return None
    rows = [
        [_cell(task + 1), *(_cell(100 * line[task], ".1f") if "/" in path else _cell(line[task])
                            for path, line in known.items())]
        for task in range(group.first.num_tasks)
    ]  # fmt: skip
    keys = [path.partition(".")[2].replace("parameters.", "") for path in known]
    return Table(title, ["after task", *(titles[path] for path in known)], ["task", *keys], rows)


def _cell(value: float, form: str = ",.0f") -> Cell:
    return Cell("–") if math.isnan(value) else Cell(f"{value:{form}}", float(value))


def retention_table(groups: Sequence[Group]) -> Table | None:
    """How far old tasks' images have moved, a row per method; None if no run measured it."""
    rows = [_retention_row(group) for group in groups]
    if all(row[1].text == "–" for row in rows):
        return None
    columns = {"method": "method", "exact": "bitwise the same",
               "max_drift": "max drift after the last task", "max_drift_ever": "max drift ever",
               "mean_drift": "mean drift after the last task"}  # fmt: skip
    return Table("retention", [*columns.values()], [*columns], rows)


def _retention_row(group: Group) -> list[Cell]:
    largest, mean = drifts(group), drifts(group, "mean_drift")
    if np.isnan(largest).all():
        return [Cell(group.label), *[Cell("–")] * 4]
    values = (largest[-1], np.nanmax(largest), mean[-1])
    exact = Cell("yes" if is_exact(group) else "no")
    return [Cell(group.label), exact, *(_cell(value, ".3g") for value in values)]
