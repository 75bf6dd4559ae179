"""What W&B is told of a run for comparing methods: the tables' numbers, matrices and files."""

import io
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lightning.pytorch.loggers import Logger
from PIL import Image

from lgan.distributed import is_main
from lgan.errors import RunError
from lgan.reports.collect import Group, Run, collect
from lgan.reports.columns import ARROWS, TableColumn, every_column, filled, matrix_metrics
from lgan.reports.intransigence import REFERENCES
from lgan.reports.matrix import average_metric
from lgan.run.folder import RunFolder
from lgan.run.loggers import log_table, over_tasks, to_wandb
from lgan.run.record import FILE_NAME, RunRecord

PREFIX = "border/"
"""Begins the names of what is said of all tasks so far, the columns' keys behind it."""


def log_border(loggers: list[Logger], record: RunRecord, folder: RunFolder, step: int) -> None:
    """Log what the comparison table would show of the rows so far, and A_t of each metric.

    A W&B config's `columns` says in JSON what they are called and which way is better.
    """
    if not is_main() or not to_wandb(loggers):
        return
    joint = (record, *_joint_runs(folder.path))
    usual = [c for c in every_column([record]) if c.rank is not None]
    columns = filled([replace(c, among=joint) if c.among else c for c in usual], [record])
    numbers = {PREFIX + column.key: column.read(record) for column in columns}
    told = {PREFIX + column.key: (_in_shares(column), column.better) for column in columns}
    for metric, column in matrix_metrics([record]).items():
        name = f"{PREFIX}average_{metric}"
        numbers[name] = average_metric(record.matrix(metric))[-1]
        told[name] = (f"{metric}, mean of the tasks so far (A_t)", column.better)
    for logger in to_wandb(loggers):
        logger.log_hyperparams({"columns": json.dumps(told, ensure_ascii=False)})
        logger.log_metrics({n: value for n, value in numbers.items() if math.isfinite(value)}, step)


def _in_shares(column: TableColumn) -> str:
    """Return a column's title without its arrow and, as what is logged is no percentage, unit."""
    title = column.title.removesuffix(ARROWS[column.better])
    return title.replace(", %", "").replace(", points", "") if column.form == "percent" else title


def _joint_runs(folder: Path) -> Iterator[RunRecord]:
    """Yield the records of joint training, by their folders' names, that lie beside a run."""
    for path in folder.parent.glob(f"*/{FILE_NAME}"):
        if any(method in path.parent.name for method, _ in REFERENCES.values()):
            with suppress(RunError):
                if (record := RunRecord.load(path.parent)).complete:
                    yield record


def log_end(loggers: list[Logger], record: RunRecord, folder: RunFolder, step: int) -> None:
    """Log the matrices as pictures, the table of all results and, if asked, the run's files."""
    wandb = to_wandb(loggers)
    if not is_main() or not wandb:
        return
    _log_matrices(loggers, Group(record.method, [Run(folder.path, record, {})]), step)
    log_table(loggers, record.rows, step)
    if asked := [logger for logger in wandb if logger.artifact]:
        from lgan.reports.report import render

        report = render(collect(folder.path), f"{record.method} on {record.data}")
        text = (folder.path / FILE_NAME).read_text(encoding="utf-8")
        for logger in asked:
            logger.upload({FILE_NAME: text, "report.html": report})


def _log_matrices(loggers: list[Logger], alone: Group, step: int) -> None:
    from lgan.reports.figures import matrix_figure, png  # matplotlib takes a second

    with over_tasks(loggers, alone.first.num_tasks - 1):
        for metric in matrix_metrics(alone.records):
            picture = Image.open(io.BytesIO(png(matrix_figure(alone, metric))))
            for logger in to_wandb(loggers):
                logger.log_image(f"matrix/{metric}", [picture], step=step)
