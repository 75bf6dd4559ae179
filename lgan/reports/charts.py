"""Charts of the report as SVG that its script makes alive: lines over tasks, points, matrices.

They are drawn in the page's own colours (`report.css.j2`): what is of method k has the class mk.
"""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator
from PIL import Image

from lgan.reports.figures import ticks_of

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 300, 76, 12, 10, 40
NAME, LINE = 110, 13  # pixels: the width of a name, and from one to the next below it
NAMED = 12  # points that all have a name
EXACT = 1e-7  # what stands for an exact 0 on a logarithmic axis


class Axis:
    """A scale from values to pixels; `log` ones end in 0, which stands a decade below `EXACT`."""

    def __init__(
        self, low: float, high: float, start: float, end: float, log: bool = False
    ) -> None:
        self.low, self.high, self.start, self.end, self.log = low, high, start, end, log

    def __call__(self, value: float) -> float:
        """Return the place of a value, in pixels."""
        low, high, value = map(self._linear, (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 1)

    def _linear(self, value: float) -> float:
        return math.log10(max(value, EXACT / 10)) if self.log else value

    def ticks(self) -> list[float]:
        """Return round values, no more than eight or so."""
        locator = LogLocator(numticks=8) if self.log else MaxNLocator(8, steps=[1, 2, 5, 10])
        low = max(self.low, EXACT / 10) if self.log else self.low
        return [v for v in locator.tick_values(low, self.high) if low <= v <= self.high]


def span(values: np.ndarray, share: bool = False) -> tuple[float, float]:
    """Return the range of an axis that shows values: [0, 1] of shares, otherwise from 0 if near."""
    known = values[np.isfinite(values)]
    if share or not len(known):
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    low = min(0.0, low) if low < (high - low) or low == high else low
    return low, high if high > low else low + 1.0


def line_chart(
    lines: Sequence[tuple[int, np.ndarray, np.ndarray | None]],
    label: str,
    axis: Axis,
    percent: bool = False,
    dashed: Sequence[tuple[int, np.ndarray]] = (),
) -> dict[str, Any]:
    """Return what the template needs of lines over tasks: (method, values, deviation or None)."""
    count = max(len(values) for _, values, _ in lines)
    across = Axis(0, max(count - 1, 1), LEFT, WIDTH - RIGHT)
    return {
        "label": label, "percent": percent, "tasks": count,
        "x": [(across(t), t) for t in ticks_of(count)],
        "y": [(axis(v), _tick(v, percent, axis.log)) for v in axis.ticks()],
        "low": axis.low, "high": axis.high, "log": axis.log,
        "bands": [(k, _band(across, axis, mean, sd)) for k, mean, sd in lines if sd is not None],
        "lines": [(k, _points(across, axis, values), _short(values)) for k, values, _ in lines],
        "dashed": [(k, _points(across, axis, values)) for k, values in dashed],
    }  # fmt: skip


def _points(across: Axis, up: Axis, values: np.ndarray) -> str:
    return " ".join(f"{across(t):g},{up(v):g}" for t, v in enumerate(values) if math.isfinite(v))


def _band(across: Axis, up: Axis, values: np.ndarray, sd: np.ndarray) -> str:
    clipped = [np.clip(side, up.low, up.high) for side in (values - sd, values + sd)]
    there = [_points(across, up, side) for side in clipped]
    return " ".join([there[0], *reversed(there[1].split())])


def _tick(value: float, percent: bool, log: bool) -> str:
    if log and value < EXACT:
        return "0 (exact)"
    return f"{100 * value:g}" if percent else f"{value:,.6g}"


def _short(values: np.ndarray) -> list[float | None]:
    return [float(f"{v:.4g}") if math.isfinite(v) else None for v in values.tolist()]


def scatter(points: Sequence[tuple[int, str, float, float]], percent: bool) -> dict[str, Any]:
    """Return what the template needs of points (method, label, cost, quality)."""
    costs = np.array([point[2] for point in points])
    low, high = span(np.array([point[3] for point in points]), percent)
    across = Axis(float(costs.min()) / 1.3, float(costs.max()) * 1.3, LEFT, WIDTH - RIGHT, log=True)
    up = Axis(low, high, HEIGHT - BOTTOM, TOP)
    drawn = [(k, label, across(x), up(y), x, y) for k, label, x, y in points]
    marks = LogLocator(subs=(1.0, 2.0, 5.0)).tick_values(across.low, across.high)
    shown = [mark for mark in marks if across.low <= mark <= across.high]
    return {
        "points": [(*each, place) for each, place in zip(drawn, _beside(drawn), strict=True)],
        "x": [(across(v), f"{v:,.0f}") for v in shown[:: math.ceil(len(shown) / 6) or 1]],
        "y": [(up(v), _tick(v, percent, log=False)) for v in up.ticks()],
    }  # fmt: skip


def _beside(points: Sequence[tuple[int, str, float, float, float, float]]) -> list[float | None]:
    """Return where names stand beside their points, none over another, in pixels from above.

    Of more than `NAMED` points those stay without a name (None) that would have it farther away, or
    behind other points.
    """
    places: dict[int, float | None] = {}
    for index in sorted(range(len(points)), key=lambda i: points[i][3]):
        _, _, x, y, *_ = points[index]
        near = [place + LINE for i, place in places.items()
                if place is not None and abs(points[i][2] - x) < NAME]  # fmt: skip
        place = max([y, *near])
        hidden = any(0 < other[2] - x < NAME and abs(other[3] - place) < LINE for other in points)
        whole = len(points) <= NAMED or (place <= y + LINE and not hidden)
        places[index] = place if whole else None
    return [places[index] for index in range(len(points))]


def heat_map(matrix: np.ndarray, low: float, high: float, lower_is_better: bool) -> dict[str, Any]:
    """Return a result matrix as a picture of a pixel per value, dark bad and bright good."""
    norm = (matrix - low) / (high - low) if high > low else np.full_like(matrix, 0.5)
    colours = matplotlib.colormaps["viridis"](1 - norm if lower_is_better else norm, bytes=True)
    colours[~np.isfinite(matrix)] = 0
    return {
        "picture": data_uri(Image.fromarray(colours)),
        "values": [_short(row[: t + 1]) for t, row in enumerate(matrix)],
        "bright": (np.where(lower_is_better, 1 - norm, norm) > 0.6).tolist(),
    }


def data_uri(image: Image.Image, kind: str = "png", **options: int) -> str:
    """Return a picture as an address that holds it, with Pillow's `options` for its kind."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
