"""Where numbers and pictures go: an append-only CSV file, and what other loggers can do."""

from __future__ import annotations

import csv
import os
import socket
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from lgan.errors import ConfigError, warn
from lgan.files import atomic_path, disk_errors

PATIENCE = 5.0
"""Seconds that W&B's server is given to answer."""


class AppendCSVLogger(Logger):
    """Write `metrics.csv` in long form (step, name, value), line by line, and only ever append.

    Lightning's CSVLogger deletes the file when it is opened again after a crash, and rewrites it
    whenever a new name appears. The long form has fixed columns, so a line is on disk as soon as
    it is logged and can be read while the run goes on.

    Args:
        folder: the run's folder.
    """

    COLUMNS = ("step", "name", "value")

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self._rewound: int | None = None

    @property
    def name(self) -> str:
        """The logger's name."""
        return "csv"

    @property
    def version(self) -> str:
        """There is one file per run."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run's folder."""
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Do nothing: the run's folder holds config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a line per metric; after `rewind` those of its step replace the former ones."""
        with disk_errors(self.path):
            self._append(metrics, step)

    def _append(self, metrics: Mapping[str, float], step: int | None) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if step == self._rewound and self.path.exists():
            self._keep(lambda row: int(row[0]) != step or row[1] not in metrics)
        fresh = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(self.COLUMNS)
            writer.writerows((step, name, float(value)) for name, value in metrics.items())

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Drop the lines after `step`, and a line a crash cut short: a resumed run writes anew.

        What is logged of `step` itself from now on replaces what was logged of it before.
        """
        self._rewound = step
        if self.path.exists():
            self._keep(lambda row: int(row[0]) <= step)

    def _keep(self, wanted: Callable[[list[str]], bool]) -> None:
        with self.path.open(newline="") as file:
            rows = [r for r in csv.reader(file) if len(r) == len(self.COLUMNS) and r[0].isdigit()]
        kept = [self.COLUMNS, *(row for row in rows if wanted(row))]

        with atomic_path(self.path) as path, path.open("w", newline="") as file:
            csv.writer(file).writerows(kept)


class LenientWandbLogger(WandbLogger):
    """W&B's logger, whose troubles cost a warning and not the run.

    Numbers and pictures are handed to W&B's client, which writes them to disk and sends them when
    it can; before it takes a table it waits for the server's answer.
    """

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401  (WandbLogger's)
        super().__init__(**settings)
        self._refused: set[str] = set()

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log, unless what is of this kind could not be logged before."""
        import wandb

        is_table = any(isinstance(value, wandb.Table) for value in metrics.values())
        kind = "tables" if is_table else "numbers and pictures"
        if kind in self._refused:
            return
        try:
            super().log_metrics(metrics, step)
        except Exception as error:  # whatever it is, the run is worth more
            self._refused.add(kind)
            warn(f"W&B takes no more {kind} of this run, its folder does: {_brief(error)}.")

    def finish(self, status: str) -> None:
        """End W&B's run, within `logger.finish_timeout` seconds."""
        run = self.experiment
        try:
            run.finish(exit_code=0 if status == "success" else 1)
        except Exception as error:
            warn(
                f"W&B did not take everything: {_brief(error)}; metrics.csv has all numbers, and "
                f"`wandb sync --include-online {run.settings.sync_dir}` uploads what W&B wrote."
            )


def _brief(error: Exception) -> str:
    """Return an error's first line."""
    return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")


def log_image(loggers: list[Logger], name: str, image: Tensor, step: int) -> None:
    """Show an image (C, H, W) in [0, 1] in every logger that can."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(name, [image], step=step)
        elif isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, image, step)


def log_matrix(loggers: list[Logger], name: str, matrix: list[list[float]], step: int) -> None:
    """Show a lower triangular result matrix (row: after task t, column: task j) in W&B."""
    columns = ["after task", *(f"task {j}" for j in range(len(matrix[-1])))]
    width = len(matrix[-1])
    data = [[t, *row, *[None] * (width - len(row))] for t, row in enumerate(matrix)]
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_table(name, columns=columns, data=data, step=step)


def rewind(loggers: list[Logger], step: int) -> None:
    """Drop what was logged after `step`, in loggers that can."""
    for logger in loggers:
        if isinstance(logger, AppendCSVLogger):
            logger.rewind(step)


def with_reachable_server(config: DictConfig) -> DictConfig:
    """Return the config, with W&B offline where its server cannot be reached.

    W&B then writes to the run's folder: its own client would keep the run waiting for minutes, and
    end it then.

    Raises:
        ConfigError: `logger.finish_timeout` is no number of seconds.
    """
    section = config.logger
    _check_seconds(section.get("finish_timeout", 0))
    if "wandb" in section and not section.wandb.offline and not _reachable(server := _server()):
        warn(
            f"{server} cannot be reached, so W&B writes to {section.wandb.save_dir}/wandb; "
            "`wandb sync` uploads it later (logger.offline=true: without asking)."
        )
        config = cast(DictConfig, OmegaConf.merge(config, {"logger": {"wandb": {"offline": True}}}))
    return config


def _check_seconds(seconds: object) -> None:
    if not isinstance(seconds, int | float) or seconds < 0:
        raise ConfigError(
            f"logger.finish_timeout={seconds} must be a number of seconds; 0 waits for ever."
        )


def _server() -> str:
    """Return the address of W&B's server."""
    import wandb

    return os.environ.get("WANDB_BASE_URL") or str(wandb.setup().settings.base_url)


def _reachable(server: str) -> bool:
    """Return whether a server takes connections; behind a proxy that is for W&B to find out."""
    if getproxies():
        return True
    parts = urlsplit(server)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True


def close(loggers: list[Logger], status: str) -> None:
    """Finish every logger; W&B's runs of a sweep would merge into one otherwise."""
    for logger in loggers:
        logger.finalize(status)
        if isinstance(logger, LenientWandbLogger):
            logger.finish(status)
