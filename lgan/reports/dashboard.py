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


def sections(found: Logged, by: str | None) -> list[Section]:
    """Return the sections of a dashboard; runs alike in the config's `by`, or method, are one."""
    group = reports.Config(by) if by else reports.Metric("JobType")
    over_tasks: dict[str, Any] = {
        "x": "task", "title_x": "after training task", "groupby": group, **_SPREAD,
    }  # fmt: skip
    bars = [
        reports.BarPlot(title=found.titles[key][0], metrics=[key], groupby=group, **_SPREAD)
        for key in found.ranked
    ]
    lines = [
        reports.LinePlot(title=title, y=[key], **over_tasks)
        for key, (title, _) in found.titles.items()
    ]
    curves = [
        Section(
            f"Forgetting curves: {metric}",
            f"{metric} of each task, measured again after every later one.",
            [
                reports.LinePlot(title=f"task {task}", y=[f"task{task}/{metric}"], **over_tasks)
                for task in found.tasks(metric)
            ],
        )
        for metric in found.metrics
    ]
    matrices = [
        reports.MediaBrowser(title=metric, media_keys=[f"matrix/{metric}"], gallery_axis="run",
                             num_columns=4)
        for metric in found.metrics
    ]  # fmt: skip
    samples = reports.MediaBrowser(
        title="after each task", media_keys=["samples"], grid_x_axis="step", grid_y_axis="run"
    )
    table = reports.WeavePanelSummaryTable(table_name="results")
    made = [
        Section("Methods compared", "After the last task: mean and deviation over seeds.", bars),
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


def _shown(found: Logged, sweep: str | None) -> list[expr.FilterExpr]:
    """Return what a run must be to be shown, in the form that W&B's own pages write."""
    shown = [expr.Config("data.value.name").isin([found.data])]
    return shown + [expr.Metric("Group").isin([sweep])] if sweep else shown


def workspace(
    entity: str, project: str, title: str, found: Logged, by: str | None, sweep: str | None
) -> workspaces.Workspace:
    """Return a workspace, not saved: runs grouped, the best first, and all sections' panels."""
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=title,
        sections=[
            workspaces.Section(
                name=section.title, panels=section.panels, is_open=place < 2,
                layout_settings=workspaces.SectionLayoutSettings(columns=section.columns),
            )
            for place, section in enumerate(sections(found, by))
        ],
        settings=workspaces.WorkspaceSettings(x_axis="task", max_runs=100),
        runset_settings=workspaces.RunsetSettings(
            filters=_shown(found, sweep),
            groupby=[expr.Config(by) if by else expr.Metric("JobType")],
            order=[
                expr.Ordering(expr.Summary(key), ascending=found.titles[key][1] == "lower")
                for key in found.ranked[:1]
            ],
            pinned_columns=[f"summary:{key}" for key in found.ranked],
        ),
    )  # fmt: skip


def report(
    entity: str, project: str, title: str, found: Logged, by: str | None, sweep: str | None
) -> reports.Report:
    """Return a report, not saved: the table of the runs first, then a grid per section."""

    def runs() -> reports.Runset:
        return reports.Runset(
            entity=entity, project=project, name="runs", filters=_shown(found, sweep),
            groupby=[f"config.{by}" if by else "run.JobType"],
            order=[
                reports.OrderBy(reports.SummaryMetric(key),
                                ascending=found.titles[key][1] == "lower")
                for key in found.ranked[:1]
            ],
            pinned_columns=["run:displayName", *(f"summary:{key}" for key in found.ranked)],
        )  # fmt: skip

    blocks: list[Any] = [reports.TableOfContents()]
    for place, section in enumerate(sections(found, by)):
        width = WIDTH // section.columns
        height = 8 if section.columns > 1 else 14
        for number, panel in enumerate(section.panels):
            row, column = divmod(number, section.columns)
            panel.layout = reports.Layout(column * width, row * height, width, height)
        grid = reports.PanelGrid(runsets=[runs()], panels=section.panels, hide_run_sets=place > 0)
        blocks += [reports.H2(section.title), reports.P(section.said), grid]
    return reports.Report(
        entity=entity, project=project, title=title, width="fluid", blocks=blocks,
        description=f"Methods on {found.data}, compared over the tasks; made by lgan-dashboard.",
    )  # fmt: skip
