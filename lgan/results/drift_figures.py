"""Drift of old tasks' images from fixed noise: the numbers and their figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lgan.results.capacity_figures import draw_line, finish, is_known, wide
from lgan.results.collect import Group

SMALLEST_DRIFT = 1e-7  # of pixels in [-1, 1]: about one bit of single precision near 1


def drifts(group: Group, name: str = "max_drift") -> np.ndarray:
    """How far the images of old tasks have moved after each task.

    Args:
        group: a method.
        name: `max_drift`: the largest over pixels, old tasks and seeds; `mean_drift`: the mean.

    Returns:
        (T,), NaN where nothing was measured, as after the first task, which has no old ones.
    """
    combine = max if name == "max_drift" else lambda values: sum(values) / len(values)
    line = np.full(group.first.num_tasks, np.nan)
    for task in range(1, len(line)):
        values = [
            entry[name]
            for record in group.records
            if task < len(record.rows)
            for entry in (record.rows[task].get("retention") or [])[:task]
        ]
        if values:
            line[task] = combine(values)
    return line


def drift_curves(groups: Sequence[Group]) -> bytes | None:
    """Largest (solid) and mean (dotted) drift of old tasks' images, a colour per method.

    The axis is logarithmic but for the lowest decade, which ends in an exact zero.
    """
    measured = [(group, line) for group in groups if is_known(line := drifts(group))]
    if not measured:
        return None
    figure, axes = wide()
    for index, (group, line) in enumerate(measured):
        colour = draw_line(axes, line, index, group.label)
        steps = np.arange(1, len(line) + 1)
        axes.plot(steps, drifts(group, "mean_drift"), ":", color=colour)
    axes.set_yscale("symlog", linthresh=SMALLEST_DRIFT, linscale=0.5)
    axes.set_ylim(-0.4 * SMALLEST_DRIFT, 4)
    ticks = [0.0, *(10.0**power for power in range(-7, 1))]
    names = ["0 (exact)", *(f"$10^{{{power}}}$" for power in range(-7, 0)), "1"]
    axes.set_yticks(ticks, names)
    axes.minorticks_off()
    axes.set_ylabel("drift of old tasks' images (range 2)")
    return finish(figure, axes, max(len(line) for _, line in measured))
