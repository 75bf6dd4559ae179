"""Grids of what generators show after tasks (`lgan.run.samples`), as PNG bytes.

Small images are enlarged by a whole factor, nearest neighbour, so that every pixel is seen; images
too large for the page are reduced, and rows too many for it thinned.
"""

import math
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from lgan.data.images import to_uint8
from lgan.errors import RunError
from lgan.reports.collect import Run
from lgan.reports.figures import ShownFigure, png
from lgan.run.identity import Stamp, load_stamped
from lgan.run.samples import shows_all

SMALLEST_IMAGE = 48
WIDEST_GRID = 1600
MOST_ROWS = 64
GAP = 6
PAIRED_HEADS = ("input", "target")


def run_grid(run: Run) -> bytes | None:
    """Return the figure of `run_figure` as PNG."""
    return png(figure) if (figure := run_figure(run)) else None


def run_figure(run: Run) -> Figure | None:
    """Return the grid that fits a run: `translation_grid` or `sample_grid`."""
    return translation_grid(run) if translates(run) else sample_grid(run)


def translates(run: Run) -> bool:
    """Whether the run's generator was given pictures, as its saved inputs tell."""
    noise = _tensor(run, "noise")
    return noise is not None and noise.ndim == 5


def sample_grid(run: Run, per_cell: int = 4) -> Figure | None:
    """Samples from the fixed noise: rows = classes, columns = after task t; None without any.

    `samples/task{t}.pt` holds `classes` and uint8 `images` (K, n, C, H, W). At most `per_cell`
    images of a class stand side by side; fewer if the grid grows wide.
    """
    heads, columns = columns_of(run)
    if not heads:
        return None
    height, width, channels = next(iter(columns[-1].values())).shape[1:]
    available = min(len(images) for column in columns for images in column.values())
    per_cell, scale = _fit(len(columns), min(per_cell, available), height, width)
    classes, left_out = rows_of(columns)
    names = class_names(run)
    white = np.full((1, height, per_cell * width, channels), 255, np.uint8)
    canvas = [[np.concatenate(list(column.get(c, white)[:per_cell]), 1) for column in columns]
              for c in classes]  # fmt: skip
    labels = [names.get(c, str(c)) for c in classes]
    return _draw_grid(canvas, labels, heads, scale, left_out)


def translation_grid(run: Run, pictures: int = 3) -> Figure | None:
    """Test pictures of each task (rows): input, target where there is one, output after task t.

    `samples/noise.pt` holds the inputs as uint8 `noise` (T, n, C, H, W), and for paired tasks
    `samples/targets.pt` `targets` like them.
    """
    (after, outputs), given = columns_of(run), _given(run)
    if not after or not given:
        return None
    tasks, left_out = rows_of(outputs)
    blank = np.full_like(next(iter(outputs[-1].values()))[0], 255)
    room = max(1, MOST_ROWS // len(tasks))
    shown = min(pictures, room, *(len(images) for images in outputs[-1].values()))
    canvas = [
        [*(images[task][i] for images in given.values()),
         *(images[task][i] if task in images else blank for images in outputs)]
        for task in tasks for i in range(shown)
    ]  # fmt: skip
    names = class_names(run)
    labels = [names.get(task, str(task)) if i == 0 else "" for task in tasks for i in range(shown)]
    heads = [*given, *after]
    _, scale = _fit(len(heads), 1, *blank.shape[:2])
    return _draw_grid(canvas, labels, heads, scale, left_out)


def _given(run: Run) -> dict[str, np.ndarray]:
    """Name of a column to its pictures, uint8 (T, n, H, W, 3): inputs, and targets if known."""
    inputs, targets = _tensor(run, "noise"), _tensor(run, "targets")
    if inputs is not None and inputs.is_floating_point():  # of older runs
        inputs = to_uint8(inputs)
    found = {} if inputs is None else {"input": _pixels(inputs)}
    return found | ({"target": _pixels(targets)} if found and targets is not None else {})


def columns_of(run: Run) -> tuple[list[str], list[dict[int, np.ndarray]]]:
    """Tasks, as heads, and what each class showed after them; none where that is not known."""
    count = len(run.record.rows)
    tasks = [t for t in range(count) if shows_all(t) or t == count - 1]
    paths = [run.folder / f"samples/task{t}.pt" for t in tasks]
    columns = [_read_samples(path, run.record.stamp) for path in paths]
    return ([str(t) for t in tasks], columns) if all(columns) else ([], [])


def rows_of(columns: list[dict[int, np.ndarray]]) -> tuple[list[int], str]:
    """Return the first, the last and rows evenly between them, and words for what is left out."""
    seen = list(dict.fromkeys(chain.from_iterable(columns)))
    places = np.linspace(0, len(seen) - 1, min(MOST_ROWS, len(seen))).round().astype(int)
    shown = [seen[place] for place in places]
    return shown, "" if shown == seen else f"; {len(shown)} of {len(seen)} rows"


def real_pictures(run: Run) -> dict[str, dict[int, np.ndarray]]:
    """Name of a column to what is real in it: inputs and targets by task, or pictures by class."""
    if translates(run):
        return {name: dict(enumerate(images)) for name, images in _given(run).items()}
    real = _read_samples(run.folder / "samples/real.pt", run.record.stamp, "real")
    return {"real": real} if real else {}


def _read_samples(path: Path, stamp: Stamp, name: str = "images") -> dict[int, np.ndarray]:
    """Class -> uint8 (n, H, W, 3), in the order of the file; empty if the file is absent."""
    if not path.exists():
        return {}
    content = load_stamped(path, stamp)
    try:
        images = _pixels(content[name])
        return {int(c): rows for c, rows in zip(content["classes"], images, strict=True)}
    except (KeyError, AttributeError, RuntimeError, ValueError) as error:
        raise RunError(f"{path} does not hold samples by class: {error}") from error


def _tensor(run: Run, name: str) -> Tensor | None:
    """The tensor of a name that the file of that name holds; None where there is no such file."""
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


def _fit(columns: int, per_cell: int, height: int, width: int) -> tuple[int, int]:
    """Images per cell, then the whole factor of enlargement, so that the grid fits the page."""
    scale = max(1, math.ceil(SMALLEST_IMAGE / min(height, width)))
    while per_cell > 1 and per_cell * columns * width * scale > WIDEST_GRID:
        per_cell -= 1
    while scale > 1 and per_cell * columns * width * scale > WIDEST_GRID:
        scale -= 1
    return per_cell, scale


def _draw_grid(
    canvas: list[list[np.ndarray]],
    names: Sequence[str],
    heads: Sequence[str],
    scale: int,
    left_out: str,
) -> Figure:
    """Draw a page with names of rows and columns; one of its pixels stays exactly one pixel."""
    cells = np.array([[_resize(cell, scale, len(canvas[0])) for cell in row] for row in canvas])
    height, width = cells.shape[2:4]
    gaps = ((0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0))
    page = np.concatenate(np.concatenate(np.pad(cells, gaps, constant_values=255), 1), 1)
    short = [name if len(name) <= 24 else f"{name[:21]}..." for name in names]
    rows = [(i * (height + GAP) + height / 2, name) for i, name in enumerate(short)]
    columns = [(j * (width + GAP) + width / 2, head) for j, head in enumerate(heads)]
    dpi, top, gutter = 100, 40, 26
    left = 20 + 7 * max(len(name) for _, name in rows)
    height, width = page.shape[:2]
    full_width, full_height = max(width, 150) + left + gutter, height + top + gutter // 2
    figure = ShownFigure(figsize=(full_width / dpi, full_height / dpi), dpi=dpi)
    box = (left / full_width, 1 - (top + height) / full_height, width / full_width,
           height / full_height)  # fmt: skip
    axes = figure.add_axes(box)
    axes.imshow(page, interpolation="nearest", aspect="auto")
    axes.set_xticks([x for x, _ in columns], [name for _, name in columns])
    axes.set_yticks([y for y, _ in rows], [name.replace("$", r"\$") for _, name in rows])
    axes.xaxis.tick_top()
    first = next(x for x, head in columns if head not in PAIRED_HEADS)  # of the outputs
    axes.annotate(f"after training task{left_out}", (first / width, 1.0), xytext=(-6, 18),
                  xycoords="axes fraction", textcoords="offset points", fontsize=9)  # fmt: skip
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    return figure


def _resize(cell: np.ndarray, scale: int, columns: int) -> np.ndarray:
    height, width = cell.shape[:2]
    shrink = min(1.0, WIDEST_GRID / (width * scale * columns))
    if shrink == 1.0:
        return cell.repeat(scale, axis=0).repeat(scale, axis=1)
    size = max(1, round(width * scale * shrink)), max(1, round(height * scale * shrink))
    return np.asarray(Image.fromarray(cell).resize(size, Image.Resampling.BOX))
