"""Figures of what masks and growth do, as PNG bytes, of means over seeds; None: not recorded."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from lgan.reports.collect import Group
from lgan.reports.figures import MANY, MARKERS, TaskLines, plain, png, task_axis
from lgan.run.record import value_at, walk

WEIGHTS, REST = "parameters.masked_weights", "parameters.norms_heads"
NEW, OLD, LINE = "#D55E00", "#0072B2", "#000000"
MOST_LAYERS = 12


def series(group: Group, path: str) -> np.ndarray:
    """Mean over seeds of a value in the rows: (T,), NaN where it was not recorded."""
    return _over_seeds(group, partial(value_at, path=path))


def value_curves(
    groups: Sequence[Group], path: str, label: str, percent: bool = False
) -> bytes | None:
    """A value of the rows (path as in `lgan.run.record.value_at`) after each task, by method."""
    chart = TaskLines(label, percent)
    for group in groups:
        if not np.isnan(line := series(group, path)).all():
            chart.add(line, group.label)
    if percent:
        chart.axes.yaxis.set_major_formatter(ticker.PercentFormatter(1.0))
    return chart.png()


def growth_curve(
    groups: Sequence[Group], constants: Mapping[str, float] | None = None, log: bool = False
) -> bytes | None:
    """Size of the network that each task was trained in: a line per method.

    Dotted: norms and heads added. Dashed: linear growth, t + 1 times the size at task 0, what a
    method needs whose tasks share nothing. `constants` are sizes of other networks, by name.
    """
    chart = TaskLines("weights")
    for group in groups:
        if np.isnan(line := series(group, WEIGHTS)).all():
            continue
        colour = chart.add(line, group.label)
        if not np.isnan(more := series(group, REST)).all():
            chart.add(line + more, "  with norms and heads", colour, linestyle=":")
        linear = line[0] * np.arange(1, len(line) + 1)
        chart.add(linear, "  linear: (t + 1) × task 0", colour, linestyle="--", linewidth=1)
    for name, size in (constants or {}).items():
        chart.axes.axhline(size, color="#7F7F7F", linestyle="-.", label=plain(name))
    if log:
        chart.axes.set_yscale("log")
        chart.axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        chart.axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    else:
        chart.axes.set_ylim(bottom=0)
    chart.axes.yaxis.set_major_formatter(ticker.EngFormatter())
    return chart.png("while training task")


def _over_seeds(group: Group, read: Callable[[dict[str, Any]], float]) -> np.ndarray:
    lines = pd.DataFrame([[read(row) for row in record.rows] for record in group.records])
    return lines.mean().to_numpy()


def capacity(group: Group) -> dict[str, dict[str, np.ndarray]]:
    """Layer to name to values over tasks (T,), means over seeds; empty if not recorded."""
    rows = [row for record in group.records for row in record.rows]
    layers = dict.fromkeys(layer for row in rows for layer in row.get("capacity") or {})
    names = ("reserved", "newly", "reused", "trained_size")
    # A layer's name may hold dots, so that it cannot be a part of a path.
    return {layer: {name: _over_seeds(group, partial(walk, keys=["capacity", layer, name]))
                    for name in names} for layer in layers}  # fmt: skip


def shares(layers: dict[str, dict[str, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares in [0, 1], (T,), over all layers: of a task's mask reused, new; of all reserved."""
    newly, reused, reserved, size = (
        sum(layer[name] for layer in layers.values())
        for name in ("newly", "reused", "reserved", "trained_size")
    )
    mask = np.asarray(newly + reused)
    safe = np.where(mask > 0, mask, np.nan)
    return reused / safe, newly / safe, np.asarray(reserved / size)


def reuse_shares(groups: Sequence[Group]) -> bytes | None:
    """A row per method: shares of each task's mask (100 % = its ones), and of layers reserved."""
    measured = [(group, layers) for group in groups if (layers := capacity(group))]
    if not measured:
        return None
    figure = Figure(figsize=(9.5, 0.6 + 3.0 * len(measured)), layout="constrained")
    panels = figure.subplots(len(measured), 2, squeeze=False)
    for (left, right), (group, layers) in zip(panels, measured, strict=True):
        _reuse_bars(left, *shares(layers))
        _layer_lines(right, layers)
        left.set_title(plain(group.label), fontsize=10, loc="left")
        right.set_title("reserved, by layer", fontsize=10, loc="left")
        for axes in (left, right):
            axes.set_ylim(0, 1.05)
            axes.yaxis.set_major_formatter(ticker.PercentFormatter(1.0))
            task_axis(axes, group.first.num_tasks)
    return png(figure)


def _reuse_bars(axes: Axes, reused: np.ndarray, newly: np.ndarray, reserved: np.ndarray) -> None:
    steps, width = np.arange(len(reused)), 0.8 if len(reused) <= MANY else 1.0
    style: dict[str, Any] = {"alpha": 0.75, "width": width, "linewidth": 0}
    axes.bar(steps, reused, color=OLD, label="reused, of the mask", **style)
    axes.bar(steps, newly, bottom=reused, color=NEW, label="new", **style)
    axes.plot(steps, reserved, color=LINE, marker="o", label="reserved, of all elements")
    axes.set_ylabel("share")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, fontsize=8, frameon=False)


def _layer_lines(axes: Axes, layers: dict[str, dict[str, np.ndarray]]) -> None:
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(layers)))
    for index, (name, values) in enumerate(layers.items()):
        share = values["reserved"] / values["trained_size"]
        steps, marker = np.arange(len(share)), MARKERS[index % len(MARKERS)]
        axes.plot(steps, share, color=colours[index], marker=marker, markersize=4,
                  label=plain(name))  # fmt: skip
    axes.set_ylabel("reserved / trained")
    axes.grid(alpha=0.25)
    columns = math.ceil(len(layers) / MOST_LAYERS)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), ncols=columns, fontsize=7,
                frameon=False)  # fmt: skip


def mask_evolution(groups: Sequence[Group], task: int = 0) -> bytes | None:
    """Distribution of the mask's values over the epochs of one task, and the share of 1/2 or more.

    The lowest seed of each method is shown; `task` is the index of the row, -1 of the last.
    """
    found = [(group, course) for group in groups if (course := evolution_of(group, task))]
    if not found:
        return None
    figure = Figure(figsize=(0.8 + 5.2 * len(found), 5.0), layout="constrained")
    panels = figure.subplots(2, len(found), squeeze=False, sharex="col", height_ratios=[2.2, 1])
    meshes = []
    for (above, below), (group, course) in zip(panels.T, found, strict=True):
        epochs = np.asarray(course["epochs"], float)
        fractions = np.asarray(course["fractions"], float).T
        meshes.append(above.pcolormesh(_edges(epochs), course["edges"], fractions,
                                       cmap="viridis", norm=PowerNorm(0.4, 0.0, 1.0)))  # fmt: skip
        above.set_title(f"{plain(group.label)}, task {task % group.first.num_tasks}",
                        fontsize=10, loc="left")  # fmt: skip
        above.set_ylabel("mask value")
        below.plot(epochs, course["nonzero"], color=OLD, marker="." if len(epochs) < 30 else None)
        below.set(xlabel="epoch", ylabel="share ≥ 1/2", ylim=(-0.03, 1.03))
        below.yaxis.set_major_formatter(ticker.PercentFormatter(1.0))
        below.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        below.grid(alpha=0.25)
    figure.colorbar(meshes[-1], ax=panels[0], label="share of the mask's elements",
                    format=ticker.PercentFormatter(1.0))  # fmt: skip
    return png(figure)


def evolution_of(group: Group, task: int) -> dict[str, Any] | None:
    """The course of a task's mask that the lowest seed recorded; None if there is none."""
    rows = group.first.rows
    if not -len(rows) <= task < len(rows):
        return None
    course = rows[task].get("mask_evolution")
    return course if course and course.get("epochs") else None


def _edges(centres: np.ndarray) -> np.ndarray:
    """Borders half-way between points, (n,) to (n + 1,)."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middle = (centres[1:] + centres[:-1]) / 2
    return np.array([2 * centres[0] - middle[0], *middle, 2 * centres[-1] - middle[-1]])
