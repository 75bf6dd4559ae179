"""What a board's methods reach against what they cost, as PNG bytes."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy

from lgan.reports.collect import Group
from lgan.reports.columns import every_column
from lgan.reports.figures import COLOURS, LINE_HEIGHT, MARKERS, plain, png
from lgan.reports.spreads import interval

ASIDE = 7.0  # points between marks of equal cost, which stand side by side
WIDE = 10.0  # times from the smallest cost to the largest, from which on the axis is logarithmic


def quality_against(groups: Sequence[Group], cost: str, quality: str) -> bytes | None:
    """A mark for each method: two columns of `lgan-table`, by key; bars are 95 % intervals."""
    records = [record for group in groups for record in group.records]
    columns = {column.key: column for column in every_column(records)}
    if cost not in columns or quality not in columns:
        return None
    points = {}
    for group in groups:
        read = [interval([columns[k].read(one) for one in group.records]) for k in (cost, quality)]
        if not any(math.isnan(its.mean) for its in read):
            points[group.label] = read
    if not points:
        return None
    figure = Figure(figsize=(7.5, 4.4), layout="constrained")
    axes, costs = figure.add_subplot(), [x.mean for x, _ in points.values()]
    if min(costs) > 0 and max(costs) > WIDE * min(costs):
        axes.set_xscale("log")
    scale = 100.0 if columns[quality].form == "percent" else 1.0
    for place, (label, (x, y)) in enumerate(points.items()):
        bars = [0.0 if math.isnan(its.half) else its.half for its in (x, y)]
        same = [other for other, (its, _) in points.items() if its.mean == x.mean]
        aside = ASIDE * (same.index(label) - (len(same) - 1) / 2)
        moved = offset_copy(axes.transData, figure, aside, units="points")
        axes.errorbar(x.mean, scale * y.mean, xerr=bars[0] or None, yerr=scale * bars[1],
                      color=COLOURS[place % len(COLOURS)], marker=MARKERS[place % len(MARKERS)],
                      linestyle="", capsize=2, label=plain(label),
                      transform=moved)  # fmt: skip
    axes.set(xlabel=plain(columns[cost].title), ylabel=plain(columns[quality].title))
    axes.grid(alpha=0.25)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    figure.set_figheight(max(figure.get_figheight(), LINE_HEIGHT * len(costs) + 0.4))
    return png(figure)
