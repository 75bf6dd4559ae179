"""What loggers can do beyond numbers: pictures, the results' table, going back, and ending."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from torch import Tensor

from lgan.run.csv_logger import AppendCSVLogger
from lgan.run.record import number
from lgan.run.wandb_logger import LenientWandbLogger


def log_image(loggers: list[Logger], name: str, image: Tensor, step: int) -> None:
    """Show an image (C, H, W) in [0, 1] in every logger that can."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(name, [image], step=step)
        elif isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, image, step)


def to_wandb(loggers: list[Logger]) -> list[LenientWandbLogger]:
    """Return the loggers that lead to W&B."""
    return [logger for logger in loggers if isinstance(logger, LenientWandbLogger)]


@contextmanager
def over_tasks(loggers: list[Logger], task: int) -> Iterator[None]:
    """Let W&B draw over the tasks what is logged in the block, at the border after `task`."""
    try:
        for logger in to_wandb(loggers):
            logger.task = task
        yield
    finally:
        for logger in to_wandb(loggers):
            logger.task = None


def log_table(loggers: list[Logger], rows: list[dict[str, Any]], step: int) -> None:
    """Show all that rows of a record say of each task as one table in W&B, a line per number."""
    data = [
        [row["task"], task, metric, number(value)]
        for row in rows
        for task, metrics in enumerate(row["metrics"])
        for metric, value in metrics.items()
    ]
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_table("results", ["border", "task", "metric", "value"], data, step=step)


def rewind(loggers: list[Logger], step: int) -> None:
    """Drop what was logged after `step`, in loggers that can."""
    for logger in loggers:
        if isinstance(logger, AppendCSVLogger):
            logger.rewind(step)


def close(loggers: list[Logger], status: str) -> None:
    """Finish every logger; W&B's runs of a sweep would merge into one otherwise."""
    for logger in loggers:
        logger.finalize(status)
    for logger in to_wandb(loggers):
        logger.finish(status)
