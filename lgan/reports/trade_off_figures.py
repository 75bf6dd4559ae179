"""What a setting buys and what it costs, as PNG bytes: Piggyback GAN's Figure 2."""

import math
from collections.abc import Callable, Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lgan.reports.collect import Group
from lgan.reports.figures import COLOURS, judge_note, plain, png
from lgan.run.record import RunRecord, number, value_at

NEW_SHARE = "parameters.added / parameters.full"


def trade_off(
    groups: Sequence[Group],
    positions: Mapping[str, float],
    task: int,
    metric: str = "fid_",
    label: str = "lambda, share of unconstrained filters",
    line: str = "Piggyback GAN",
) -> bytes | None:
    """A task's metric (left) and its new parameters (right) against a setting, after that task.

    `positions` has the value of the setting, named `label`, by a group's label; `line` names the
    line through these methods, others are horizontal lines. Marks are means over seeds, bars ± 1
    sample standard deviation. `metric` begins the metric's name, the first in alphabetical order.
    """
    known = (name for group in groups for record in group.records for name in record.metric_names())
    if (name := min((each for each in known if each.startswith(metric)), default=None)) is None:
        return None
    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)

    def draw(axes: Axes, read: Callable[[RunRecord], float]) -> None:
        points = []
        for group in groups:
            values = pd.Series(map(read, group.records), dtype=float).dropna()
            if len(values) and group.label in positions:
                sd = values.std() if len(values) > 1 else 0.0
                points.append((positions[group.label], values.mean(), sd))
            elif len(values):
                axes.axhline(values.mean(), color=COLOURS[-1], linestyle="--",
                             label=plain(group.label))  # fmt: skip
        if points:
            x, y, bars = zip(*sorted(points), strict=True)
            axes.errorbar(x, y, yerr=bars, color=COLOURS[0], marker="o", capsize=3, label=line)
        axes.grid(alpha=0.25)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, frameon=False)

    draw(left, lambda record: metric_of(record, name, task))
    draw(right, lambda record: new_share(record, task))
    left.set(xlabel=label, ylabel=f"{name} of task {task}")
    right.set(xlabel=label, ylabel=f"new parameters of task {task}, share of Full")
    right.set_ylim(bottom=0)
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    return png(figure, judge_note(groups, name))


def metric_of(record: RunRecord, name: str, task: int) -> float:
    """A metric of a task when it has just been learnt; NaN if it was not measured."""
    rows = record.rows[task : task + 1]
    return number(rows[0]["metrics"][task].get(name)) if rows else math.nan


def new_share(record: RunRecord, task: int) -> float:
    """What a task added, as a share of one full network; NaN if it was not counted."""
    rows = record.rows[task : task + 1]
    # `full` counts one network for each task so far.
    return (task + 1) * value_at(rows[0], NEW_SHARE) if rows else math.nan
