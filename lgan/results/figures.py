"""Figures as PNG bytes: forgetting curves, result matrices, sample grids.

`matplotlib.figure.Figure` is used directly: no pyplot, no global state, no display.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from lgan.errors import RunError
from lgan.files import load_tensors
from lgan.results.collect import Group, Run

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
MARKERS = "osD^vP*X"
SMALLEST_IMAGE = 48
WIDEST_GRID = 1600
GAP = 6
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


def sample_grid(run: Run, per_cell: int = 4) -> bytes | None:
    """Samples from the fixed noise: rows = classes, columns = after task t.

    Small images are enlarged by a whole factor, nearest neighbour, so that every pixel is seen;
    images too large for the page are reduced.

    Args:
        run: its `samples/task{t}.pt` hold `classes` and uint8 `images` (K, n, C, H, W).
        per_cell: at most so many images of a class side by side; fewer if the grid grows wide.

    Returns:
        PNG bytes, or None if the run has no samples.

    Raises:
        RunError: a file of samples is damaged.
    """
    columns = [_read_samples(run.folder / f"samples/task{t}.pt") for t in _finished(run)]
    if not columns or not all(columns):
        return None
    height, width, channels = next(iter(columns[-1].values())).shape[1:]
    available = min(len(images) for column in columns for images in column.values())
    per_cell, scale = _fit(len(columns), min(per_cell, available), height, width)
    classes = list(columns[-1])
    cell = (height, per_cell * width)
    canvas = [[_cell(column.get(c), per_cell, (*cell, channels)) for column in columns]
              for c in classes]  # fmt: skip
    names = _class_names(run)
    return _draw_grid(canvas, [names.get(c, str(c)) for c in classes], scale)


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


# ---------------------------------------------------------------------------------- sample grids


def _finished(run: Run) -> range:
    return range(len(run.record.rows))


def _class_names(run: Run) -> dict[int, str]:
    return {
        c: str(name)
        for task in run.record.tasks
        for c, name in zip(task["classes"], task["class_names"], strict=True)
    }


def _read_samples(path: Path) -> dict[int, np.ndarray]:
    """Class -> uint8 (n, H, W, 3), in the order of the file; empty if the file is absent."""
    if not path.exists():
        return {}
    content = load_tensors(path)
    try:
        images = content["images"].permute(0, 1, 3, 4, 2).numpy()
        images = np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
        return {int(c): rows for c, rows in zip(content["classes"], images, strict=True)}
    except (KeyError, AttributeError, RuntimeError, ValueError) as error:
        raise RunError(f"{path} does not hold samples by class: {error}") from error


def _fit(columns: int, per_cell: int, height: int, width: int) -> tuple[int, int]:
    """Images per cell, then the whole factor of enlargement, so that the grid fits the page."""
    scale = max(1, math.ceil(SMALLEST_IMAGE / min(height, width)))
    while per_cell > 1 and per_cell * columns * width * scale > WIDEST_GRID:
        per_cell -= 1
    while scale > 1 and per_cell * columns * width * scale > WIDEST_GRID:
        scale -= 1
    return per_cell, scale


def _cell(images: np.ndarray | None, count: int, shape: tuple[int, ...]) -> np.ndarray:
    """`count` images side by side, or white where the class was not learnt yet."""
    if images is None:
        return np.full(shape, 255, np.uint8)
    return np.concatenate(list(images[:count]), axis=1)


def _draw_grid(canvas: list[list[np.ndarray]], names: list[str], scale: int) -> bytes:
    cells = [[_resize(cell, scale, len(canvas[0])) for cell in row] for row in canvas]
    height, width = cells[0][0].shape[:2]
    total_height, total_width = (height + GAP) * len(cells), (width + GAP) * len(cells[0])
    page = np.full((total_height, total_width, 3), 255, np.uint8)
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            top, left = i * (height + GAP), j * (width + GAP)
            page[top : top + height, left : left + width] = cell
    rows = [(i * (height + GAP) + height / 2, name) for i, name in enumerate(names)]
    columns = [(j * (width + GAP) + width / 2, str(j + 1)) for j in range(len(cells[0]))]
    return _label_page(page, rows, columns)


def _resize(cell: np.ndarray, scale: int, columns: int) -> np.ndarray:
    height, width = cell.shape[:2]
    shrink = min(1.0, WIDEST_GRID / (width * scale * columns))
    if shrink == 1.0:
        return cell.repeat(scale, axis=0).repeat(scale, axis=1)
    size = max(1, round(width * scale * shrink)), max(1, round(height * scale * shrink))
    return np.asarray(Image.fromarray(cell).resize(size, Image.Resampling.BOX))


def _label_page(
    page: np.ndarray, rows: list[tuple[float, str]], columns: list[tuple[float, str]]
) -> bytes:
    """Add names of rows and columns; one pixel of `page` stays exactly one pixel."""
    dpi, top, gutter = 100, 40, 26
    left = 20 + 7 * max(len(_short(name)) for _, name in rows)
    height, width = page.shape[:2]
    full_width, full_height = max(width, 150) + left + gutter, height + top + gutter // 2
    figure = Figure(figsize=(full_width / dpi, full_height / dpi), dpi=dpi)
    box = (left / full_width, 1 - (top + height) / full_height, width / full_width,
           height / full_height)  # fmt: skip
    axes = figure.add_axes(box)
    axes.imshow(page, interpolation="nearest", aspect="auto")
    axes.set_xticks([x for x, _ in columns], [name for _, name in columns])
    axes.set_yticks([y for y, _ in rows], [_short(name).replace("$", r"\$") for _, name in rows])
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("after training task", fontsize=9, loc="left")
    axes.tick_params(length=0, labelsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return png(figure)


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:21]}..."
