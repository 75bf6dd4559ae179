"""The report's parts on growth, masks, disk space and drift, for the runs that recorded them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lgan.results import capacity_figures as drawn
from lgan.results.collect import Group
from lgan.results.columns import DISK_FORMATS
from lgan.results.drift_figures import drift_curves, drifts
from lgan.results.pictures import Picture, picture
from lgan.results.tables import Cell, Table

NOISE = "the same noise"
PICTURES = "the same test pictures"


def capacity_pictures(group: Group) -> list[Picture]:
    """Growth, reuse by layer, and the masks' course over the first and the last task."""
    last = len(group.first.rows) - 1
    made = [_growth(group), _reuse(group), _evolution(group, 0)]
    if last:
        made.append(_evolution(group, last))
    return [one for one in made if one is not None]


def _growth(group: Group) -> Picture | None:
    png = drawn.growth_curve([group])
    if png is None:
        return None
    sizes = drawn.series(group, drawn.WEIGHTS)
    return picture(
        png,
        f"Maskable weights of {group.label}: {sizes[0]:,.0f} for task 1, {sizes[-1]:,.0f} for task "
        f"{len(sizes)}",
        "Size of the generator that each task was trained in. Dashed: linear growth, what tasks "
        "that share nothing would need.",
    )


def _reuse(group: Group) -> Picture | None:
    png = drawn.reuse_shares([group])
    if png is None:
        return None
    reused, _, reserved = drawn.shares(drawn.capacity(group))
    return picture(
        png,
        f"Reuse and capacity of {group.label}: of the last task's mask {100 * reused[-1]:.0f} % "
        f"had been reserved before; {100 * reserved[-1]:.0f} % of all elements are reserved",
        "Left: of each task's mask, what older tasks had reserved and what is new. Right: how much "
        "of each layer is reserved, of what there was while the task was trained.",
    )


def _evolution(group: Group, task: int) -> Picture | None:
    png, course = drawn.mask_evolution([group], task), drawn.evolution_of(group, task)
    if png is None or course is None:
        return None
    return picture(
        png,
        f"Mask values of {group.label} over {len(course['epochs'])} epochs of task {task + 1}; "
        f"{100 * course['nonzero'][-1]:.0f} % end above one half",
        f"Distribution of the mask's values over the epochs of task {task + 1}, seed "
        f"{group.first.seed}.",
    )


PARAMETERS = {
    "trained": "new in the task",
    "stored": "stored for all tasks",
    "full": "T × Full",
    "stored / full": "stored / (T × Full), %",
    "discriminator": "discriminator",
    "total": "total",
    "masked_weights": "maskable weights",
    "norms_heads": "norms and heads",
}
"""What a row's `parameters` may hold, and how the report's table heads it."""


def parameter_table(group: Group) -> Table | None:
    """Parameters after each task, means over seeds; None if they were not counted."""
    lines = {key: drawn.series(group, _parameter_path(key)) for key in PARAMETERS}
    known = {key: line for key, line in lines.items() if drawn.is_known(line)}
    if not known:
        return None
    rows = [
        [Cell(str(task + 1), float(task + 1)),
         *(_share(line[task]) if "/" in key else _count(line[task]) for key, line in known.items())]
        for task in range(group.first.num_tasks)
    ]  # fmt: skip
    titles = ["after task", *(PARAMETERS[key] for key in known)]
    return Table(f"parameters of {group.label}", titles, ["task", *known], rows)


def _parameter_path(key: str) -> str:
    return "/".join(f"parameters.{name.strip()}" for name in key.split("/"))


def _share(value: float) -> Cell:
    return Cell("–") if math.isnan(value) else Cell(f"{100 * value:.1f}", float(value))


def disk_table(group: Group) -> Table | None:
    """Bytes after each task, means over seeds, a column per format; None if not recorded."""
    lines = {key: drawn.series(group, f"disk.{key}") for key in DISK_FORMATS}
    known = {key: line for key, line in lines.items() if not np.isnan(line).all()}
    if not known:
        return None
    rows = [
        [Cell(str(task + 1), float(task + 1)), *(_count(line[task]) for line in known.values())]
        for task in range(group.first.num_tasks)
    ]
    titles = ["after task", *(f"{DISK_FORMATS[key]}, bytes" for key in known)]
    return Table(f"disk space of {group.label}", titles, ["task", *known], rows)


def _count(value: float) -> Cell:
    return Cell("–") if math.isnan(value) else Cell(f"{value:,.0f}", float(value))


def retention_table(groups: Sequence[Group]) -> Table | None:
    """How far old tasks' images have moved, a row per method; None if no run measured it."""
    rows = [_retention_row(group) for group in groups]
    if all(len(row) == 1 for row in rows):
        return None
    titles = ["method", "bitwise the same", "max drift after the last task", "max drift ever",
              "mean drift after the last task"]  # fmt: skip
    keys = ["method", "exact", "max_drift", "max_drift_ever", "mean_drift"]
    filled = [row if len(row) > 1 else [*row, *[Cell("–")] * 4] for row in rows]
    return Table("retention", titles, keys, filled)


def _retention_row(group: Group) -> list[Cell]:
    largest, mean = drifts(group), drifts(group, "mean_drift")
    if np.isnan(largest).all():
        return [Cell(group.label)]
    exact = all(
        entry.get("exact")
        for record in group.records
        for row in record.rows
        for entry in (row.get("retention") or [])[: row["task"]]
    )
    values = (largest[-1], np.nanmax(largest), mean[-1])
    return [Cell(group.label), Cell("yes" if exact else "no"), *(_drift(v) for v in values)]


def _drift(value: float) -> Cell:
    return Cell("–") if math.isnan(value) else Cell(f"{value:.3g}", float(value))


def retention_picture(groups: Sequence[Group], source: str = NOISE) -> Picture | None:
    """The curves of `retention_table`.

    Args:
        groups: a method each.
        source: what the images are drawn from, in words.
    """
    png = drift_curves(groups)
    if png is None:
        return None
    ends = [
        f"{group.label} {value:.3g}"
        for group in groups
        if not math.isnan(value := float(drifts(group)[-1]))
    ]
    return picture(
        png,
        f"Largest drift of old tasks' images after the last task: {'; '.join(ends)}",
        f"How far images of old tasks, from {source}, have moved since their task was learnt: "
        "largest (solid) and mean (dotted) over pixels and tasks. Pixels range from -1 to 1.",
    )
