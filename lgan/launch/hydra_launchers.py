"""What lgan has to know of Hydra's launchers, by the class that a config names."""

from __future__ import annotations

import importlib.util
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict, read_write

EXTRAS = {
    "hydra_joblib_launcher": "joblib",
    "hydra_submitit_launcher": "submitit",
    "hydra_ray_launcher": "ray",
    "hydra_optuna_sweeper": "optuna",
}
"""The extra of lgan that brings each plugin."""
OWN_CHOICES = ("joblib", "submitit_local", "submitit_slurm")
"""The plugins' own choices of `hydra/launcher`."""
PATIENCE = 30.0
"""Seconds that a job has for its checkpoint before it is asked again to stop."""


DEFAULTS: dict[str, dict[str, Any]] = {
    # Jobs sent out one by one: several would go together, to one process, after a few skipped ones.
    "JoblibLauncher": {"batch_size": "1"},
    "LocalLauncher": {"timeout_min": 14 * 24 * 60},
    # A job that runs out of time goes back into the queue, and on from its last checkpoint.
    "SlurmLauncher": {"timeout_min": 24 * 60, "max_num_timeout": 100},
}
"""What lgan asks of a launcher instead of the plugin's defaults, which kill a job after an hour."""


def class_name(target: str) -> str:
    """Return the last part of a dotted name."""
    return target.rpartition(".")[2]


def is_joblib(target: str) -> bool:
    """Whether jobs run in joblib's worker processes, several jobs in each."""
    return class_name(target) == "JoblibLauncher"


def is_slurm(target: str) -> bool:
    """Whether jobs wait in Slurm's queue."""
    return class_name(target) == "SlurmLauncher"


def orphans_jobs(target: str) -> bool:
    """Whether the launcher gives up at the first job that died while others run on."""
    return class_name(target) == "LocalLauncher"


def leaves_gpus_alone(target: str) -> bool:
    """Whether something else gives each job its GPUs: a scheduler, or nobody has to."""
    return class_name(target) not in ("JoblibLauncher", "LocalLauncher")


def set_defaults(config: DictConfig, more: Mapping[str, Any]) -> None:
    """Give the launcher lgan's defaults, and `more`, where the command line says nothing.

    A launcher that someone gave other values in a yaml of its own (`hydra/launcher=mine`) keeps
    them: only what the plugin's own choices leave open is set.
    """
    launcher = config.hydra.launcher
    if config.hydra.runtime.choices["hydra/launcher"] not in OWN_CHOICES:
        return
    said = [override.lstrip("+") for override in config.hydra.overrides.hydra]
    wanted = {**DEFAULTS.get(class_name(launcher["_target_"]), {}), **more}
    with read_write(config), open_dict(config):
        for key, value in wanted.items():
            if not any(each.startswith(f"hydra.launcher.{key}=") for each in said):
                launcher[key] = value


def missing_plugin(config: DictConfig) -> str:
    """Return a sentence if the launcher or sweeper of a config is not installed, else ""."""
    for part in ("launcher", "sweeper"):
        package = str(config.hydra[part]["_target_"]).split(".")[:2]
        extra = EXTRAS.get(package[-1])
        if extra is not None and importlib.util.find_spec(".".join(package)) is None:
            return f"hydra/{part}={extra} is not installed; run: pip install 'lgan[{extra}]'."
    return ""


def wait_for_children(seconds: float = float("inf")) -> bool:
    """Wait until every child of this process has ended.

    Returns:
        Whether they have, within so many seconds.
    """
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.1)
    except ChildProcessError:
        return True
    return False


def stop_children() -> None:
    """Ask every child to stop, and wait; ask again, as a job that only just begins is deaf.

    submitit's local jobs outlive the process that started them otherwise. Where the system does
    not list a process's children (Linux does), they are left running.
    """
    children = [pid for path in Path("/proc/self/task").glob("*/children")
                for pid in path.read_text().split()]  # fmt: skip
    while children:
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
        if wait_for_children(PATIENCE):
            return
        children = [pid for pid in children if Path(f"/proc/{pid}").exists()]
