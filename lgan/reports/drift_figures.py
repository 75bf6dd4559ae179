"""Drift of old tasks' images from fixed noise: the numbers and their figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lgan.reports.collect import Group
from lgan.reports.figures import TaskLines
from lgan.run.record import RunRecord

SMALLEST_DRIFT = 1e-7  # of pixels in [-1, 1]: about one bit of single precision near 1


def of_old_tasks(record: RunRecord, task: int) -> list[dict[str, Any]]:
    """What a row says of the images of each older task; empty if it says nothing."""
    rows = record.rows[task : task + 1]
    return [entry for row in rows for entry in (row.get("retention") or [])[:task]]


def drifts(group: Group, name: str = "max_drift") -> np.ndarray:
    """`max_drift` or `mean_drift` over old tasks' pixels and seeds, (T,); NaN: not measured."""
    combine = max if name == "max_drift" else np.mean
    line = np.full(group.first.num_tasks, np.nan)
    for task in range(1, len(line)):
        if values := [e[name] for r in group.records for e in of_old_tasks(r, task)]:
            line[task] = combine(values)
    return line


def is_exact(group: Group) -> bool:
    """Whether no image of an old task ever changed by a bit."""
    tasks = range(group.first.num_tasks)
    return all(e.get("exact") for r in group.records for t in tasks for e in of_old_tasks(r, t))


def drift_curves(groups: Sequence[Group]) -> bytes | None:
    """Largest (solid) and mean (dotted) drift of old tasks' images, a colour per method."""
    chart = TaskLines("drift of old tasks' images (range 2)")
    for group in groups:
        if not np.isnan(line := drifts(group)).all():
            colour = chart.add(line, group.label)
            chart.add(drifts(group, "mean_drift"), colour=colour, linestyle=":")
    # Logarithmic but for the lowest decade, which ends in an exact zero.
    chart.axes.set_yscale("symlog", linthresh=SMALLEST_DRIFT, linscale=0.5)
    chart.axes.set_ylim(-0.4 * SMALLEST_DRIFT, 4)
    ticks = [0.0, *(10.0**power for power in range(-7, 1))]
    names = ["0 (exact)", *(f"$10^{{{power}}}$" for power in range(-7, 0)), "1"]
    chart.axes.set_yticks(ticks, names)
    chart.axes.minorticks_off()
    return chart.png()
