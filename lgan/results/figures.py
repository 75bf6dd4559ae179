"""Figures as PNG bytes: forgetting curves and result matrices.

`matplotlib.figure.Figure` is used directly: no pyplot, no global state, no display.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from lgan.results.collect import Group

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
MARKERS = "osD^vP*X<>h"  # not as many as colours: pairs of both repeat only after 88
MAX_TICKS = 12


def mean_matrix(group: Group, metric: str) -> np.ndarray:
    """Mean over seeds of the result matrix: (T, T), NaN above the diagonal and where missing."""
    size = group.first.num_tasks
    stack = np.full((len(group.runs), size, size), np.nan)
    for layer, record in zip(stack, group.records, strict=True):
        if metric in record.metric_names():
            for t, row in enumerate(record.matrix(metric)):
                layer[t, : t + 1] = row
    return mean_of_known(stack)


def mean_curves(groups: Sequence[Group], metric: str = "accuracy_generated") -> bytes:
    """The mean over the tasks seen so far, after each task: a line per method, a band of ±1 sd."""
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for index, group in enumerate(groups):
        curves = _curves(group, metric)
        steps, colour = np.arange(1, curves.shape[1] + 1), COLOURS[index % len(COLOURS)]
        mean = mean_of_known(curves)
        marker = MARKERS[index % len(MARKERS)]
        axes.plot(steps, mean, color=colour, marker=marker, label=plain(group.label))
        if len(curves) > 1:
            sd = curves.std(axis=0, ddof=1)
            axes.fill_between(steps, mean - sd, mean + sd, color=colour, alpha=0.15, linewidth=0)
    task_axis(axes, max(group.first.num_tasks for group in groups))
    axes.set_ylabel(f"mean {metric} of tasks seen")
    _accuracy_axis(axes, metric)
    axes.grid(alpha=0.25)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return png(figure)


def task_curves(group: Group, metric: str = "accuracy_generated") -> bytes:
    """Forgetting curves of one method: each task's value from when it was learnt to the end."""
    matrix = mean_matrix(group, metric)
    size = len(matrix)
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.add_subplot()
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, size))
    for task in range(size):
        steps = np.arange(task + 1, size + 1)
        marker = MARKERS[task % len(MARKERS)]
        label = f"task {task + 1}"
        axes.plot(steps, matrix[task:, task], color=colours[task], marker=marker, label=label)
    task_axis(axes, size)
    axes.set_ylabel(metric)
    _accuracy_axis(axes, metric)
    axes.grid(alpha=0.25)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return png(figure)


def matrix_heatmap(group: Group, metric: str) -> bytes:
    """The result matrix: rows = after training task t, columns = measured on task j."""
    matrix = mean_matrix(group, metric)
    size, percent = len(matrix), metric.startswith("accuracy")
    side = min(9.0, 1.8 + 0.5 * size)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.add_subplot()
    known = matrix[~np.isnan(matrix)]
    norm = Normalize(0.0, 1.0) if percent else Normalize(*_limits(known))
    image = axes.imshow(matrix, cmap="viridis", interpolation="nearest", norm=norm)
    figure.colorbar(image, ax=axes, shrink=0.8)
    axes.set_xlabel("measured on task")
    axes.set_ylabel("after training task")
    ticks = _ticks(size)
    axes.set_xticks([t - 1 for t in ticks], [str(t) for t in ticks])
    axes.set_yticks([t - 1 for t in ticks], [str(t) for t in ticks])
    if size <= MAX_TICKS:
        _write_values(axes, matrix, norm, percent)
    return png(figure)


def png(figure: Figure) -> bytes:
    """Draw a figure."""
    stream = io.BytesIO()
    FigureCanvasAgg(figure).print_png(stream)
    return stream.getvalue()


# ---------------------------------------------------------------------------------- line figures


def _curves(group: Group, metric: str) -> np.ndarray:
    """(seeds, T): mean over the tasks seen so far after each task."""
    rows = []
    for record in group.records:
        known = metric in record.metric_names()
        matrix = record.matrix(metric) if known else [[math.nan]] * record.num_tasks
        rows.append([float(np.mean(row)) for row in matrix])
    return np.array(rows)


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis without NaN; NaN, and no warning, where there is nothing."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(total, known.sum(axis=0), out=np.full(total.shape, np.nan),
                     where=known.any(axis=0))  # fmt: skip


def _limits(known: np.ndarray) -> tuple[float, float]:
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)


def _ticks(size: int) -> list[int]:
    return list(range(1, size + 1, math.ceil(size / MAX_TICKS)))


def task_axis(axes: Axes, size: int) -> None:
    """Name the horizontal axis after the tasks 1 to `size`."""
    axes.set_xticks(_ticks(size))
    axes.set_xlabel("after training task")


def _accuracy_axis(axes: Axes, metric: str) -> None:
    if metric.startswith("accuracy"):
        axes.set_ylim(-0.03, 1.03)


def _write_values(
    axes: Axes,
    matrix: np.ndarray,
    norm: Normalize,
    percent: bool,
) -> None:
    for (t, j), value in np.ndenumerate(matrix):
        if math.isnan(value):
            continue
        colour = "black" if norm(value) > 0.6 else "white"
        text = f"{value * 100:.0f}" if percent else f"{value:.3g}"
        axes.text(j, t, text, ha="center", va="center", color=colour, fontsize=8)


def plain(text: str) -> str:
    """A name without matplotlib's mathematics: `$` would start it; a long one is broken."""
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return shown.replace("$", r"\$").replace(" (", "\n(")
