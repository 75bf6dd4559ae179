"""Weights & Biases, whose troubles cost a warning and not the run."""

import hashlib
import os
import re
import socket
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from lgan.errors import warn

PATIENCE = 5.0  # seconds that W&B's server is given to answer
_LONGEST = 128  # characters of a name or group that W&B takes


class LenientWandbLogger(WandbLogger):
    """W&B's client sends numbers and pictures when it can; before tables it waits for an answer.

    What is logged while `task` is set is drawn over the tasks, under the key `task`. `artifact`
    says whether the run's results.json and report are uploaded at its end.
    """

    task: int | None = None

    def __init__(self, artifact: bool = False, **settings: Any) -> None:  # noqa: ANN401  (WandbLogger's)
        self.artifact = artifact
        for key, name in settings.items():
            if key == "id" and name:
                settings[key] = wandb_id(name)
            elif key in ("name", "group") and name:
                settings[key] = name[-_LONGEST:]
            elif key == "tags":
                settings[key] = list(name or [])
        super().__init__(**settings)
        self._refused: set[str] = set()
        self._over_tasks: set[str] = set()

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log, unless what is of this kind could not be logged before."""
        import wandb

        is_table = any(isinstance(value, wandb.Table) for value in metrics.values())
        kind = "tables" if is_table else "numbers and pictures"
        if kind in self._refused:
            return
        try:
            super().log_metrics(self._at_task(metrics), step)
        except Exception as error:  # whatever it is, the run is worth more
            self._refused.add(kind)
            warn(f"W&B takes no more {kind} of this run, its folder does: {_brief(error)}.")

    def _at_task(self, metrics: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.task is None:
            return metrics
        # Each by its name: of patterns, Lightning's "*" over the steps is the first that W&B finds.
        for name in metrics.keys() - self._over_tasks:
            self.experiment.define_metric(name, step_metric="task")
        self._over_tasks |= metrics.keys()
        return {**metrics, "task": self.task}

    @rank_zero_only
    def upload(self, files: Mapping[str, str]) -> None:
        """Upload texts by their files' names, as one artifact of type `results`."""
        import wandb

        try:
            artifact = wandb.Artifact(f"results-{self.experiment.id}", "results")
            for name, text in files.items():
                with artifact.new_file(name, mode="w", encoding="utf-8") as file:
                    file.write(text)
            self.experiment.log_artifact(artifact)
        except Exception as error:
            warn(f"W&B did not take the artifact, the run's folder has it all: {_brief(error)}.")

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


def wandb_id(name: str) -> str:
    """Return an id that W&B takes, with its tables' names: the run's name, or a hash of it."""
    if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
        return name
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")


def with_reachable_server(config: DictConfig) -> DictConfig:
    """Return the config, with W&B offline where its server cannot be reached."""
    # Its own client would keep the run waiting for minutes, and end it then.
    if "wandb" not in config.logger or config.logger.wandb.offline:
        return config
    server = server_address()
    if not reachable(server):
        warn(
            f"{server} cannot be reached, so W&B writes to {config.logger.wandb.save_dir}/wandb; "
            "`wandb sync` uploads it later (logger.offline=true: without asking)."
        )
        config = cast(DictConfig, OmegaConf.merge(config, {"logger": {"wandb": {"offline": True}}}))
    return config


def server_address() -> str:
    """Return the address of the W&B server that the user's settings name."""
    import wandb

    return os.environ.get("WANDB_BASE_URL") or str(wandb.setup().settings.base_url)


def reachable(server: str) -> bool:
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
