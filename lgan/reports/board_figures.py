"""What a board's methods reach against what they cost, as PNG bytes."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator
from matplotlib.transforms import offset_copy

from lgan.reports.collect import Group
from lgan.reports.columns import TableColumn, every_column
from lgan.reports.figures import COLOURS, LINE_HEIGHT, MARKERS, judge_note, plain, png
from lgan.reports.spreads import interval

ASIDE = 7.0  # points between marks of equal cost, which stand side by side
WIDE = 10.0  # times from the smallest cost to the largest, from which on the axis is logarithmic
LARGE = 1000.0  # costs, from which on ticks have k, M or G
FAR = 300.0  # and from which on it names powers of ten only


def quality_against(
    groups: Sequence[Group], cost: str, quality: str, named: str | None = None
) -> bytes | None:
    """A mark for each method: two columns of `lgan-table`, by key; bars are 95 % intervals.

    The cost's axis is `named`, or after its column.
    """
    records = [record for group in groups for record in group.records]
    columns = {column.key: column for column in every_column(records)}
    if cost not in columns or quality not in columns:
        return None
    chosen = (columns[cost], columns[quality])
    read = {group.label: [_read(group, column) for column in chosen] for group in groups}
    points = {
        label: its for label, its in read.items() if not any(math.isnan(mean) for mean, _ in its)
    }
    if not points:
        return None
    figure = Figure(figsize=(7.5, 4.4), layout="constrained")
    axes = figure.add_subplot()
    cost_axis(axes, [x for (x, _), _ in points.values()])
    _draw(figure, axes, points)
    axes.set(xlabel=plain(named or columns[cost].title), ylabel=plain(columns[quality].title))
    axes.margins(0.08)
    axes.grid(alpha=0.25)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    figure.set_figheight(max(figure.get_figheight(), LINE_HEIGHT * len(points) + 0.4))
    notes = [judge_note(groups, columns[quality].of.rpartition(".")[2])]
    if len({x for (x, _), _ in points.values()}) < len(points):
        notes.append("Marks of equal cost stand side by side")
    return png(figure, ". ".join(filter(None, notes)))


def cost_axis(axes: Axes, costs: Sequence[float]) -> None:
    """Write large costs short, and those far from each other on a logarithmic axis."""
    apart = min(costs) > 0 and max(costs) > WIDE * min(costs)
    if apart:
        axes.set_xscale("log")
        steps = (1.0,) if max(costs) > FAR * min(costs) else (1.0, 2.0, 5.0)
        axes.xaxis.set_major_locator(LogLocator(subs=steps))
        axes.xaxis.set_minor_locator(NullLocator())  # its labels would touch
    if apart or max(costs) >= LARGE:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 2M, not 2 with 1e6 aside


def _read(group: Group, column: TableColumn) -> tuple[float, float]:
    mean, half = interval([column.read(record) for record in group.records])
    scale = 100.0 if column.form == "percent" else 1.0
    return scale * mean, 0.0 if math.isnan(half) else scale * half


def _draw(figure: Figure, axes: Axes, points: Mapping[str, list[tuple[float, float]]]) -> None:
    for place, (label, ((x, across), (y, up))) in enumerate(points.items()):
        same = [other for other, ((its, _), _) in points.items() if its == x]
        aside = ASIDE * (same.index(label) - (len(same) - 1) / 2)
        moved = offset_copy(axes.transData, figure, aside, units="points")
        axes.errorbar(x, y, xerr=across or None, yerr=up, color=COLOURS[place % len(COLOURS)],
                      marker=MARKERS[place % len(MARKERS)], linestyle="", capsize=2,
                      label=plain(label), transform=moved)  # fmt: skip
        # What is moved does not count for the axes' limits.
        axes.update_datalim([(x - across, y - up), (x + across, y + up)])
    axes.autoscale_view()
