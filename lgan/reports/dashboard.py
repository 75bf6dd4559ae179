"""W&B's workspace and report for comparing methods: their sections and panels.

They are built of what the runs of a project have logged (`lgan.training.logged`), for one data set.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import wandb_workspaces.reports.v2 as reports
import wandb_workspaces.workspaces as workspaces
from wandb_workspaces import expr

MOST_TASKS = 24  # that get a panel of their own
WIDTH = 24  # of a report's grid, in its units
_SPREAD: dict[str, Any] = {"groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}
_TASK = re.compile(r"task(\d+)/(.+)")


@dataclass(frozen=True)
class Logged:
    """What the runs of a data set have logged: keys of their summaries, with titles."""

    data: str
    titles: dict[str, tuple[str, str | None]]  # which way is better, beside the title
    keys: frozenset[str]

    @property
    def metrics(self) -> list[str]:
        """The metrics that result matrices are drawn of."""
        return sorted(k.removeprefix("matrix/") for k in self.keys if k.startswith("matrix/"))

    @property
    def ranked(self) -> list[str]:
        """The keys by which methods are ranked, the best known first."""
        return [key for key, (_, better) in self.titles.items() if better]

    def tasks(self, metric: str) -> list[int]:
        """The tasks of which a metric was measured, at most `MOST_TASKS` evenly spread."""
        found = (_TASK.fullmatch(key) for key in self.keys)
        tasks = sorted(int(match[1]) for match in found if match and match[2] == metric)
        return tasks[:: -(-len(tasks) // MOST_TASKS)] if tasks else []


@dataclass(frozen=True)
class Section:
    """A heading, a sentence that explains what is seen, and panels, so many in a row."""

    title: str
    said: str
    panels: list[Any]
    columns: int = 3


def logged(runs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[Logged]:
    """Return what runs, config and summary of each, have logged, by the data set's name."""
    keys: dict[str, set[str]] = {}
    titles: dict[str, dict[str, tuple[str, str | None]]] = {}
    for config, summary in runs:
        if "columns" not in config:  # not lgan's, or before its first border
            continue
        data = str(config["data"]["name"])
        keys.setdefault(data, set()).update(summary)
        known = {key: (title, better) for key, (title, better)
                 in json.loads(config["columns"]).items() if key in summary}  # fmt: skip
        titles.setdefault(data, {}).update(known)
    return [Logged(data, titles[data], frozenset(keys[data])) for data in sorted(keys)]


@dataclass(frozen=True)
class Dashboard:
    """A project's runs on one data set, of a `sweep` only if one is given.

    Runs that are alike in the config's key `by`, or else in their method, are shown as one.
    """

    entity: str
    project: str
    title: str
    found: Logged
    by: str | None = None
    sweep: str | None = None

    def workspace(self) -> workspaces.Workspace:
        """Return a workspace, not saved: runs grouped, the best first, and all sections' panels."""
        return workspaces.Workspace(
            entity=self.entity,
            project=self.project,
            name=self.title,
            sections=[
                workspaces.Section(
                    name=section.title, panels=section.panels, is_open=place < 2,
                    layout_settings=workspaces.SectionLayoutSettings(columns=section.columns),
                )
                for place, section in enumerate(self.sections())
            ],
            settings=workspaces.WorkspaceSettings(x_axis="task", max_runs=100),
            runset_settings=workspaces.RunsetSettings(
                filters=self._shown(),
                groupby=[expr.Config(self.by) if self.by else expr.Metric("JobType")],
                order=[expr.Ordering(expr.Summary(key), ascending=low)
                       for key, low in self._best()],
                pinned_columns=[f"summary:{key}" for key in self.found.ranked],
            ),
        )  # fmt: skip

    def report(self) -> reports.Report:
        """Return a report, not saved: the table of the runs first, then a grid per section."""
        blocks: list[Any] = [reports.TableOfContents()]
        for place, section in enumerate(self.sections()):
            width = WIDTH // section.columns
            height = 8 if section.columns > 1 else 14
            for number, panel in enumerate(section.panels):
                row, column = divmod(number, section.columns)
                panel.layout = reports.Layout(column * width, row * height, width, height)
            grid = reports.PanelGrid([self._runs()], panels=section.panels, hide_run_sets=place > 0)
            blocks += [reports.H2(section.title), reports.P(section.said), grid]
        said = f"Methods on {self.found.data}, compared over the tasks; made by lgan-dashboard."
        return reports.Report(entity=self.entity, project=self.project, title=self.title,
                              width="fluid", blocks=blocks, description=said)  # fmt: skip

    def _runs(self) -> reports.Runset:
        return reports.Runset(
            entity=self.entity, project=self.project, name="runs", filters=self._shown(),
            groupby=[f"config.{self.by}" if self.by else "run.JobType"],
            order=[reports.OrderBy(reports.SummaryMetric(key), ascending=low)
                   for key, low in self._best()],
            pinned_columns=["run:displayName", *(f"summary:{key}" for key in self.found.ranked)],
        )  # fmt: skip

    def _best(self) -> list[tuple[str, bool]]:
        """Return the key that orders the runs, if there is one, and whether low values are good."""
        return [(key, self.found.titles[key][1] == "lower") for key in self.found.ranked[:1]]

    def _shown(self) -> list[expr.FilterExpr]:
        """Return what a run must be to be shown, in the form that W&B's own pages write."""
        shown = [expr.Config("data.value.name").isin([self.found.data])]
        return shown + [expr.Metric("Group").isin([self.sweep])] if self.sweep else shown

    def sections(self) -> list[Section]:
        """Return the sections of both views; one without panels is left out."""
        found, group = self.found, reports.Config(self.by) if self.by else reports.Metric("JobType")

        def line(title: str, key: str) -> reports.LinePlot:
            return reports.LinePlot(title=title, y=[key], x="task", title_x="after training task",
                                    groupby=group, **_SPREAD)  # fmt: skip

        bars = [reports.BarPlot(title=found.titles[key][0], metrics=[key], groupby=group, **_SPREAD)
                for key in found.ranked]  # fmt: skip
        lines = [line(title, key) for key, (title, _) in found.titles.items()]
        matrices = [reports.MediaBrowser(title=metric, media_keys=[f"matrix/{metric}"],
                                         gallery_axis="run", num_columns=4)
                    for metric in found.metrics]  # fmt: skip
        samples = reports.MediaBrowser(title="after each task", media_keys=["samples"],
                                       grid_x_axis="step", grid_y_axis="run")  # fmt: skip
        table = reports.WeavePanelSummaryTable(table_name="results")
        curves = [
            Section(f"Forgetting curves: {metric}",
                    f"{metric} of each task, measured again after every later one.",
                    [line(f"task {task}", f"task{task}/{metric}") for task in found.tasks(metric)])
            for metric in found.metrics
        ]  # fmt: skip
        made = [
            Section("Methods compared", "After the last task: mean and deviation over seeds.",
                    bars),
            Section("From task to task", "Of all tasks learnt so far: mean, band of one deviation.",
                    lines),
            *curves,
            Section("Result matrices", "Row: after training a task; column: measured on a task.",
                    matrices, 1),
            Section("Pictures", "A row per class, from the same noise after every task.",
                    [samples] if "samples" in found.keys else [], 1),
            Section("All results", "A line per border, task and metric.",
                    [table] if "results" in found.keys else [], 1),
        ]  # fmt: skip
        return [section for section in made if section.panels]
