"""Figures for notebooks, of matplotlib, in the colours of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lgan.errors import RunError
from lgan.reports import figures, grids
from lgan.reports.collect import Group, Run, read_config
from lgan.reports.columns import matrix_metrics

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

    from lgan.run.record import RunRecord


class RunPlot:
    """What a run's `plot` draws; each method returns a matplotlib figure.

    Without a `metric` the one is shown that its tables show first. Errors name those there are.
    """

    def __init__(self, folder: Path, record: RunRecord) -> None:
        self._run = Run(folder, record, read_config(folder))
        self._group = Group(record.method, [self._run])

    def matrix(self, metric: str | None = None) -> Figure:
        """Show a metric on every task (columns) after every task (rows); bright is good.

        >>> run.plot.matrix().axes[0].get_ylabel()
        'after training task'
        """
        return figures.matrix_figure(self._group, self._metric(metric))

    def curves(self, metric: str | None = None) -> Figure:
        """Show each task's value from when it was learnt to the end.

        >>> len(run.plot.curves("accuracy_generated").axes[0].lines)
        5
        """
        return figures.curves_figure(self._group, self._metric(metric))

    def samples(self) -> Figure:
        """Show pictures of every class (rows) after every task (columns), from the same noise.

        >>> type(run.plot.samples()).__name__
        'ShownFigure'
        """
        figure = grids.run_figure(self._run)
        if figure is None:
            raise RunError(f"{self._run.folder} has no samples (callbacks.samples).")
        return figure

    def _metric(self, metric: str | None) -> str:
        record = self._run.record
        known = [*dict.fromkeys([*matrix_metrics([record]), *sorted(record.metric_names())])]
        if not known:
            raise RunError(f"{self._run.folder} has measured nothing yet.")
        if metric is not None and metric not in known:
            raise RunError(f"metric={metric} was not measured; there are {', '.join(known)}.")
        return metric or known[0]


def compare(frame: pd.DataFrame, metric: str = "accuracy_generated") -> Figure:
    """Show a metric's mean over the tasks learnt so far: a line per method, a band over seeds.

    `frame` is what `lgan.results` returns, or some of its lines.

    >>> import lgan.plot
    >>> figure = lgan.plot.compare(lgan.results("outputs/digits"))
    >>> figure.axes[0].get_ylabel()
    'mean accuracy_generated of tasks seen'
    """
    of_tasks = frame[(frame.metric == metric) & frame.task.notna()]
    if of_tasks.empty:
        known = sorted(set(frame[frame.task.notna()].metric))
        raise RunError(f"metric={metric} is not in the frame; there are {', '.join(known)}.")
    by_run = of_tasks.groupby(["method", "run", "border"]).value.mean()
    chart = figures.TaskLines(f"mean {metric} of tasks seen", figures.is_share(metric))
    for method, values in by_run.groupby(level="method"):
        runs = values.unstack("border")
        spread = runs.std(ddof=1).to_numpy() if len(runs) > 1 else None
        chart.add_band(np.asarray(runs.mean()), spread, str(method))
    figure = chart.figure_of()
    assert figure is not None
    return figure
