"""Figures as PNG bytes, without pyplot: forgetting curves, result matrices, lines over tasks."""

import io
import math
import textwrap
from collections.abc import Sequence
from itertools import count
from typing import Any, cast

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from lgan.reports.collect import Group, judges
from lgan.reports.columns import matrix_metrics
from lgan.reports.matrix import average_metric
from lgan.run.columns import TRUSTED

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
MARKERS = "osD^vP*X<>h"  # not as many as colours: pairs of both repeat only after 88
MAX_TICKS = 12
MANY = 10  # with more tasks markers are sparse, and lines are named at their ends
LINE_HEIGHT = 0.17  # inches of a line of small print


class ShownFigure(Figure):
    """A figure that a notebook shows, also without pyplot."""

    def _repr_png_(self) -> bytes:
        return png(self)


class TaskLines:
    """A panel of lines over the tasks, named beside it; a `share` goes from 0 to 1."""

    def __init__(
        self, label: str, share: bool = False, size: tuple[float, float] = (7.5, 4.2)
    ) -> None:
        self.figure = ShownFigure(figsize=size, layout="constrained")
        self.axes = self.figure.add_subplot()
        self.axes.set_ylabel(label)
        if share:
            self.axes.set_ylim(-0.03, 1.03)
        self.lines, self.tasks = 0, 0

    def add(
        self,
        values: np.ndarray,
        label: str | None = None,
        colour: Any = None,  # noqa: ANN401  (matplotlib's many ways to name one)
        first: int = 0,
        **style: Any,  # noqa: ANN401
    ) -> str:
        """Draw values from task `first` on and return their colour; a style of its own is extra."""
        if not style:
            style = {"marker": MARKERS[self.lines % len(MARKERS)]}
            colour = COLOURS[self.lines % len(COLOURS)] if colour is None else colour
            self.lines += 1
            self.tasks = max(self.tasks, first + len(values))
        steps = np.arange(first, first + len(values))
        shown = None if label is None else plain(label)
        self.axes.plot(steps, values, color=colour, label=shown, **style)
        return colour

    def add_band(self, mean: np.ndarray, sd: np.ndarray | None, label: str) -> None:
        """Draw means from task 0 on, and a band of ± `sd` around them."""
        colour = self.add(mean, label)
        if sd is not None:
            self.axes.fill_between(np.arange(len(mean)), mean - sd, mean + sd, color=colour,
                                   alpha=0.15, linewidth=0)  # fmt: skip

    def png(self, label: str = "after training task", note: str = "") -> bytes | None:
        """Draw the figure, a note below; None if it has no lines."""
        return png(figure) if (figure := self.figure_of(label, note)) else None

    def figure_of(self, label: str = "after training task", note: str = "") -> Figure | None:
        """Return the figure with names and axes, a note below; None if it has no lines."""
        if not self.lines:
            return None
        task_axis(self.axes, self.tasks)
        self.axes.set_xlabel(label)
        self.axes.grid(alpha=0.25)
        names = "".join(f"{name}\n" for name in self.axes.get_legend_handles_labels()[1])
        needed = LINE_HEIGHT * names.count("\n") + 0.4
        self.figure.set_figheight(max(self.figure.get_figheight(), needed))
        if self.tasks > MANY:
            _label_ends(self.axes, self.figure.get_figheight())
        else:
            self.figure.legend(loc="outside right upper", fontsize=8, frameon=False)
        return noted(self.figure, note)


def mean_matrix(group: Group, metric: str) -> np.ndarray:
    """Mean over seeds of the result matrix: (T, T), NaN above the diagonal and where missing."""
    tasks = range(group.first.num_tasks)
    stacked = pd.concat([
        pd.DataFrame([dict(enumerate(row)) for row in matrix])
        for matrix in _measured(group, metric)
    ])  # fmt: skip
    return stacked.groupby(level=0).mean().reindex(index=tasks, columns=tasks).to_numpy()


def _measured(group: Group, metric: str) -> list[list[list[float]]]:
    return [each.matrix(metric) for each in group.records if metric in each.metric_names()]


def mean_curve(group: Group, metric: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The mean over the tasks seen so far (T,): its mean over seeds, its deviation of several."""
    curves = pd.DataFrame([average_metric(matrix) for matrix in _measured(group, metric)])
    return curves.mean().to_numpy(), curves.std().to_numpy() if len(curves) > 1 else None


def mean_curves(groups: Sequence[Group], metric: str = "accuracy_generated") -> bytes | None:
    """The mean over the tasks seen so far: a line per method that has the metric, band ±1 sd."""
    chart = TaskLines(f"mean {metric} of tasks seen", is_share(metric))
    for group in (group for group in groups if metric in group.first.metric_names()):
        chart.add_band(*mean_curve(group, metric), group.label)
    return chart.png(note=judge_note(groups, metric))


def curves_figure(group: Group, metric: str) -> Figure:
    """Forgetting curves of one method: each task's value from when it was learnt to the end."""
    matrix = mean_matrix(group, metric)
    chart, size = TaskLines(metric, is_share(metric), (5.2, 3.4)), len(matrix)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, size))
    for task, colour in enumerate(colours):
        name = f"task {task}" if size <= MANY else None
        chart.add(matrix[task:, task], name, colour, first=task)
    if size > MANY:
        for line in chart.axes.lines:
            line.set(linewidth=0.8, marker="")
        chart.axes.scatter(range(size), matrix.diagonal(), s=3, c=colours)
        scale = ScalarMappable(Normalize(0, size - 1), ListedColormap(colours))
        chart.figure.colorbar(scale, ax=chart.axes, ticks=ticks_of(size), label="task")
    return chart.figure_of(note=judge_note([group], metric)) or chart.figure


def matrix_figure(group: Group, metric: str) -> Figure:
    """The result matrix: rows = after training task t, columns = measured on task j.

    Bright is good in every one, whether higher or lower values are.
    """
    matrix = mean_matrix(group, metric)
    size, known = len(matrix), matrix[~np.isnan(matrix)]
    side = min(9.0, 1.8 + 0.5 * size)
    figure = ShownFigure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.add_subplot(xlabel="measured on task", ylabel="after training task")
    whole = is_share(metric) or not len(known)
    norm = Normalize(0.0, 1.0) if whole else Normalize(known.min(), known.max())
    column = matrix_metrics([group.first]).get(metric)
    lower = column is not None and column.better == "lower"
    colours = "viridis_r" if lower else "viridis"
    image = axes.imshow(matrix, cmap=colours, interpolation="nearest", norm=norm)
    unit = PercentFormatter(1.0) if is_share(metric) else None
    label = f"{metric}{', lower is better' if lower else ''}"
    figure.colorbar(image, ax=axes, shrink=0.8, format=unit, label=label)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks_of(size))
    for (t, j), value in np.ndenumerate(matrix) if size <= MAX_TICKS else ():
        if not math.isnan(value):
            colour = "black" if (1 - norm(value) if lower else norm(value)) > 0.6 else "white"
            text = f"{value * 100:.0f}" if is_share(metric) else f"{value:.3g}"
            axes.text(j, t, text, ha="center", va="center", color=colour, fontsize=8)
    return noted(figure, judge_note([group], metric))


def judge_note(groups: Sequence[Group], metric: str) -> str:
    """Say how good the evaluation classifier is that a metric depends on; "" where none does."""
    known = sorted(right for right in judges(groups).values() if not math.isnan(right))
    if not known or (metric != "accuracy_generated" and not metric.endswith("_classifier")):
        return ""
    span = " to ".join(dict.fromkeys((f"{known[0]:.1%}", f"{known[-1]:.1%}")))
    note = f"the evaluation classifier is right on {span} of the real test images"
    return f"WARNING: {note} only: this means little" if known[0] < TRUSTED else note.capitalize()


def noted(figure: Figure, note: str) -> Figure:
    """Write a note below a figure, which is returned."""
    if note:
        figure.supxlabel(textwrap.fill(note, int(16 * figure.get_figwidth())), fontsize=7)
    return figure


def png(figure: Figure, note: str = "") -> bytes:
    """Draw a figure, with a note below."""
    noted(figure, note)
    stream = io.BytesIO()
    FigureCanvasAgg(figure).print_png(stream)
    return stream.getvalue()


def is_share(metric: str) -> bool:
    """Whether a metric is a share in [0, 1]."""
    return metric.startswith("accuracy")


def task_axis(axes: Axes, size: int) -> None:
    """Name the horizontal axis after `size` tasks, from 0; of many, leave few markers on lines."""
    axes.set_xticks(ticks_of(size))
    axes.set_xlabel("after training task")
    every = math.ceil(size / MANY)
    marked = [line for line in axes.lines if line.get_marker() not in ("", "None", None)]
    # No two lines have theirs at the same tasks: none hides another then.
    for index, line in enumerate(marked if size > MANY else ()):
        line.set_markevery((every * index // len(marked), every))


def plain(text: str) -> str:
    """A name without matplotlib's mathematics: `$` would start it; a long one is broken."""
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return shown.replace("$", r"\$").replace(" (", "\n(")


def _label_ends(axes: Axes, height: float) -> None:
    """Write the lines' names beside their ends, pushed apart where ends meet."""
    ends = []
    lines, names = cast(tuple[list[Line2D], list[str]], axes.get_legend_handles_labels())
    for line, name in zip(lines, names, strict=True):
        points = (line.get_transform() - axes.transAxes).transform(line.get_xydata())
        for x, y in points[np.isfinite(points).all(axis=1)][-1:]:
            ends.append((y, x, name.strip(), line.get_color()))
    ends.sort(key=lambda end: end[0])
    line_height = LINE_HEIGHT / (0.8 * height)  # of the panel's height
    sizes = np.array([line_height * (1 + name.count("\n")) for _, _, name, _ in ends])
    places = _apart(np.array([y for y, *_ in ends]), sizes)
    for (y, x, name, colour), place in zip(ends, places, strict=True):
        axes.annotate(name, (x, y), (1.04, place), "axes fraction", "axes fraction", fontsize=8,
                      va="center", arrowprops={"arrowstyle": "-", "color": colour,
                                               "relpos": (0, 0.5)})  # fmt: skip


def _apart(places: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Move ordered places on [0, 1] until things of these sizes stand clear of each other."""
    moved = places.copy()
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + (sizes[i - 1] + sizes[i]) / 2)
    above = 1.0
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], above - sizes[i] / 2)
        above = moved[i] - sizes[i] / 2
    return moved


def ticks_of(size: int) -> list[int]:
    """The first task, the last and round numbers between; all where there are few."""
    if size <= MAX_TICKS:
        return list(range(size))
    step = next(n * 10**k for k in count() for n in (1, 2, 5) if n * 10**k * MANY >= size)
    return [*(t for t in range(0, size, step) if size - 1 - t > step / 2), size - 1]
