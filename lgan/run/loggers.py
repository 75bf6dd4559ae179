"""What loggers can do beyond numbers: pictures, result matrices, going back, and ending."""

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from torch import Tensor

from lgan.run.csv_logger import AppendCSVLogger
from lgan.run.wandb_logger import LenientWandbLogger


def log_image(loggers: list[Logger], name: str, image: Tensor, step: int) -> None:
    """Show an image (C, H, W) in [0, 1] in every logger that can."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(name, [image], step=step)
        elif isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, image, step)


def log_matrix(loggers: list[Logger], name: str, matrix: list[list[float]], step: int) -> None:
    """Show a lower triangular result matrix (row: after task t, column: task j) in W&B."""
    width = len(matrix[-1])
    columns = ["after task", *(f"task {j}" for j in range(width))]
    data = [[t, *row, *[None] * (width - len(row))] for t, row in enumerate(matrix)]
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_table(name, columns=columns, data=data, step=step)


def rewind(loggers: list[Logger], step: int) -> None:
    """Drop what was logged after `step`, in loggers that can."""
    for logger in loggers:
        if isinstance(logger, AppendCSVLogger):
            logger.rewind(step)


def close(loggers: list[Logger], status: str) -> None:
    """Finish every logger; W&B's runs of a sweep would merge into one otherwise."""
    for logger in loggers:
        logger.finalize(status)
        if isinstance(logger, LenientWandbLogger):
            logger.finish(status)
