"""Pictures of the report, a strip for each method and task: a row per class, the same in all.

A strip is stored once, as a data URI that views share; all together stay within `MOST_PIXELS`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from lgan.reports import grids
from lgan.reports.charts import data_uri
from lgan.reports.collect import Group
from lgan.reports.grids import Cells

MOST_PIXELS = 4_000_000
PER_ROW = 4
LARGE = 32  # pixels from which on coloured pictures are compressed with loss
SMALLEST, WIDEST = 40, 96  # pixels of a side that a picture is reduced to
PAPER = 560, 750  # pixels of a page's width beside the names of rows, and of its height
NARROWEST, GAP = 55, 10  # pixels of a strip with its name, and between two, as in report.css.j2


def gallery(groups: Sequence[Group]) -> dict[str, Any]:
    """Return what the lowest seed of each method shows, beside real pictures where they were kept.

    Of methods on pictures of different sizes those are shown that are as the first ones. There are
    `strips` side by side, a row for each of `names`, in it `per_row` pictures; `cell` and `side`
    are the width and height of one on the page, in pixels of it. On paper so many strips stand in
    a line. Empty if there are none.
    """
    shown = {i: found for i, g in enumerate(groups) if (found := grids.columns_of(g.runs[0]))}
    if not shown:
        return {}
    size = _size(next(iter(shown.values())))
    shown = {i: found for i, found in shown.items() if _size(found) == size}
    rows, left_out = grids.rows_of([cells for found in shown.values() for cells in found.values()])
    run = groups[next(iter(shown))].runs[0]
    names = grids.class_names(run)
    tasks = sorted({task for found in shown.values() for task in found})
    height, width = (min(side, WIDEST) for side in size)
    most = max(1, MOST_PIXELS // (height * width * len(rows) * (len(shown) + 1)))
    per_row = min(PER_ROW, max(1, most // 4))  # and several tasks, rather than pictures of one
    kept = grids.evenly(tasks, max(1, most // per_row))
    strips = [
        _strip(label, None, {kept[-1]: cells}, rows, per_row)
        for label, cells in grids.real_pictures(run).items() if _size({0: cells}) == size
    ]  # fmt: skip
    for index, found in shown.items():
        # A method with fewer tasks shows its last one.
        own = {task: found[task] for task in found if task in kept or task == max(found)}
        strips.append(_strip(groups[index].label, index, own, rows, per_row))
    side = max(height, SMALLEST)
    wide = per_row * min(side, PAPER[1] / len(rows)) * width / height
    return {
        "names": [names.get(row, str(row)) for row in rows], "strips": strips, "tasks": kept,
        "per_row": per_row, "cell": round(side * width / height, 1), "side": side,
        "on_paper": max(1, int(PAPER[0] / (max(wide, NARROWEST) + GAP))), "left_out": left_out,
    }  # fmt: skip


def _size(found: dict[int, Cells]) -> tuple[int, int]:
    height, width = next(iter(next(iter(found.values())).values())).shape[1:3]
    return height, width


def _strip(
    label: str, group: int | None, found: dict[int, Cells], rows: Sequence[int], per_row: int
) -> dict[str, Any]:
    """Pictures of a method, or real ones, and how many rows there are, by the task before them."""
    after, counts = {}, {}
    for task, cells in found.items():
        known = [place for place, row in enumerate(rows) if row in cells]
        if not known:
            continue
        count = known[-1] + 1
        blank = np.full_like(cells[rows[known[-1]]][:1], 255)
        lines = [_line(cells.get(row, blank), per_row) for row in rows[:count]]
        large = len(lines[0]) >= LARGE
        after[task], counts[task] = _encode(np.concatenate(lines), large), count
    return {"label": label, "group": group, "after": after, "rows": counts}


def _line(images: np.ndarray, per_row: int) -> np.ndarray:
    """Return so many pictures side by side, white where there are fewer."""
    _, height, width, channels = images.shape
    missing = np.full((max(0, per_row - len(images)), height, width, channels), 255, np.uint8)
    line = np.concatenate([*images[:per_row], *missing], axis=1)
    if max(height, width) <= WIDEST:
        return line
    size = per_row * min(width, WIDEST), min(height, WIDEST)
    return np.asarray(Image.fromarray(line).resize(size, Image.Resampling.BOX))


def _encode(pixels: np.ndarray, may_lose: bool) -> str:
    """Return pixels (H, W, 3) as a data URI: grey without loss, colours with a little if asked."""
    grey = bool((pixels == pixels[..., :1]).all())
    if may_lose and not grey:
        return data_uri(Image.fromarray(pixels), "jpeg", quality=88, subsampling=0)
    return data_uri(Image.fromarray(pixels[..., 0] if grey else pixels))
