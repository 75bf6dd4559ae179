"""Grids of what generators show after tasks (`lgan.run.samples`), as PNG bytes.

Small images are enlarged by a whole factor, nearest neighbour, so that every pixel is seen; images
too large for the page are reduced, and rows too many for it thinned.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from lgan.data.images import to_uint8
from lgan.errors import RunError
from lgan.reports.collect import Run
from lgan.reports.figures import ShownFigure
from lgan.run.identity import Stamp, load_stamped
from lgan.run.samples import shows_all

SMALLEST_IMAGE = 48
WIDEST_GRID = 1600
MOST_ROWS = 64
GAP = 6
Cells = dict[int, np.ndarray]
"""Pictures of classes, or of tasks that translate: uint8 (n, H, W, 3)."""


def translates(run: Run) -> bool:
    """Whether the run's generator was given pictures, as its saved inputs tell."""
    noise = _tensor(run, "noise")
    return noise is not None and noise.ndim == 5


def run_figure(run: Run, pictures: int = 4) -> Figure | None:
    """Draw what each class or translating task (rows) shows after task t (columns), None: nothing.

    `samples/task{t}.pt` holds `classes` and uint8 `images` (K, n, C, H, W). At most `pictures` of
    them stand side by side; fewer if the grid grows wide. What was translated stands before it:
    `samples/noise.pt` holds the inputs as uint8 `noise` (T, n, C, H, W), and for paired tasks
    `samples/targets.pt` `targets` like them; its pictures are one below the other.
    """
    outputs, given = columns_of(run), _given(run) if translates(run) else {}
    if not outputs:
        return None
    columns = [*given.values(), *outputs.values()]
    height, width, channels = next(iter(columns[-1].values())).shape[1:]
    available = min(len(images) for column in columns for images in column.values())
    rows, left_out = rows_of(outputs.values())
    if given:
        count = max(1, min(pictures, available, MOST_ROWS // len(rows)))
        _, scale = _fit(len(columns), 1, height, width)
    else:
        count, scale = _fit(len(columns), min(pictures, available), height, width)
    blank = np.full((count, height, width, channels), 255, np.uint8)
    cells = [[_resize(np.concatenate(column.get(row, blank)[:count], axis=0 if given else 1), scale)
              for column in columns] for row in rows]  # fmt: skip
    names = class_names(run)
    labels = [names.get(row, str(row)) for row in rows]
    heads = [*given, *map(str, outputs)]
    return _draw_grid(np.array(cells), labels, heads, len(given), left_out)


def _given(run: Run) -> dict[str, Cells]:
    """Name of a column to its pictures: inputs, and targets if they are known."""
    found = {"input": _tensor(run, "noise"), "target": _tensor(run, "targets")}
    return {
        # Inputs of older runs are floats.
        name: dict(enumerate(_pixels(to_uint8(t) if t.is_floating_point() else t)))
        for name, t in found.items() if t is not None
    }  # fmt: skip


def columns_of(run: Run) -> dict[int, Cells]:
    """What each class showed after tasks, by their numbers; empty where that is not known."""
    count = len(run.record.rows)
    columns = {
        t: _read_samples(run.folder / f"samples/task{t}.pt", run.record.stamp)
        for t in range(count) if shows_all(t) or t == count - 1
    }  # fmt: skip
    return columns if all(columns.values()) else {}


def rows_of(columns: Iterable[Cells]) -> tuple[list[int], str]:
    """Return the first, the last and rows evenly between them, and words for what is left out."""
    seen = list(dict.fromkeys(chain.from_iterable(columns)))
    shown = evenly(seen, MOST_ROWS)
    return shown, "" if shown == seen else f"; {len(shown)} of {len(seen)} rows"


def evenly(items: Sequence[int], most: int) -> list[int]:
    """The last of ordered items, and others evenly before it."""
    places = np.linspace(len(items) - 1, 0, min(most, len(items))).round().astype(int)
    return [items[place] for place in sorted(places)]


def real_pictures(run: Run) -> dict[str, Cells]:
    """Name of a column to what is real in it: inputs and targets by task, or pictures by class."""
    if translates(run):
        return _given(run)
    real = _read_samples(run.folder / "samples/real.pt", run.record.stamp, "real")
    return {"real": real} if real else {}


def _read_samples(path: Path, stamp: Stamp, name: str = "images") -> Cells:
    if not path.exists():
        return {}
    content = load_stamped(path, stamp)
    try:
        images = _pixels(content[name])
        return {int(c): rows for c, rows in zip(content["classes"], images, strict=True)}
    except (KeyError, AttributeError, RuntimeError, ValueError) as error:
        raise RunError(f"{path} does not hold samples by class: {error}") from error


def _tensor(run: Run, name: str) -> Tensor | None:
    path = run.folder / f"samples/{name}.pt"
    if not path.exists():
        return None
    content = load_stamped(path, run.record.stamp)
    if not isinstance(content, dict) or not isinstance(content.get(name), Tensor):
        raise RunError(f"{path} does not hold a tensor named {name}.")
    return content[name]


def _pixels(images: Tensor) -> np.ndarray:
    """(K, n, C, H, W) with one or three channels to (K, n, H, W, 3)."""
    pixels = images.permute(0, 1, 3, 4, 2).numpy()
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels


def class_names(run: Run) -> dict[int, str]:
    """Names of classes, or of tasks that translate, by number."""
    return {
        c: str(name)
        for task in run.record.tasks
        for c, name in zip(task["classes"], task["class_names"], strict=True)
    }


def _fit(columns: int, per_cell: int, height: int, width: int) -> tuple[int, float]:
    """Images per cell, then the whole factor of enlargement, or one below 1, to fit the page."""
    scale = max(1, math.ceil(SMALLEST_IMAGE / min(height, width)))
    per_cell = max(1, min(per_cell, WIDEST_GRID // (columns * width * scale)))
    fitting = WIDEST_GRID / (columns * width * per_cell)
    return per_cell, min(scale, math.floor(fitting) or fitting)


def _resize(cell: np.ndarray, scale: float) -> np.ndarray:
    size = [max(1, round(side * scale)) for side in cell.shape[1::-1]]
    kind = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
    return np.asarray(Image.fromarray(cell).resize((size[0], size[1]), kind))


def _draw_grid(
    cells: np.ndarray, names: Sequence[str], heads: Sequence[str], given: int, left_out: str
) -> Figure:
    """Draw a page of cells (rows, columns, H, W, 3); one of its pixels stays exactly one pixel.

    The first `given` columns are of no task.
    """
    gaps = ((0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0))
    page = np.concatenate(np.concatenate(np.pad(cells, gaps, constant_values=255), 1), 1)
    short = [name if len(name) <= 24 else f"{name[:21]}..." for name in names]
    y, x = ((np.arange(count) + 0.5) * (side + GAP) - GAP / 2
            for count, side in zip(cells.shape[:2], cells.shape[2:4], strict=True))  # fmt: skip
    dpi, top, gutter = 100, 40, 26
    left = 20 + 7 * max(map(len, short))
    height, width = page.shape[:2]
    full_width, full_height = max(width, 150) + left + gutter, height + top + gutter // 2
    figure = ShownFigure(figsize=(full_width / dpi, full_height / dpi), dpi=dpi)
    box = (left / full_width, 1 - (top + height) / full_height, width / full_width,
           height / full_height)  # fmt: skip
    axes = figure.add_axes(box)
    axes.imshow(page, interpolation="nearest", aspect="auto")
    axes.set_xticks(x, heads)
    axes.set_yticks(y, [name.replace("$", r"\$") for name in short])
    axes.xaxis.tick_top()
    axes.annotate(f"after training task{left_out}", (x[given] / width, 1.0), xytext=(-6, 18),
                  xycoords="axes fraction", textcoords="offset points", fontsize=9)  # fmt: skip
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    return figure
