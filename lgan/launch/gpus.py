"""What lgan has to know of Hydra's launchers, named by their class, and which GPUs a job sees."""

import importlib.util
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from hydra.types import TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

# Several jobs in each of some worker processes; a process per job, whose launcher gives up at the
# first job that dies while others run on; a job in Slurm's queue each.
JOBLIB, LOCAL, SLURM = "JoblibLauncher", "LocalLauncher", "SlurmLauncher"
EXTRAS = {
    "hydra_joblib_launcher": "joblib",
    "hydra_submitit_launcher": "submitit",
    "hydra_ray_launcher": "ray",
    "hydra_optuna_sweeper": "optuna",
}
"""The extra of lgan that brings each plugin."""
OWN_CHOICES = ("joblib", "submitit_local", "submitit_slurm")  # the plugins' `hydra/launcher`
DEFAULTS: dict[str, dict[str, Any]] = {
    # Jobs sent out one by one: several would go together, to one process, after a few skipped ones.
    JOBLIB: {"batch_size": "1"},
    LOCAL: {"timeout_min": 14 * 24 * 60},
    # A job that runs out of time goes back into the queue, and on from its last checkpoint.
    SLURM: {"timeout_min": 24 * 60, "max_num_timeout": 100},
}
"""What lgan asks of a launcher instead of the plugin's defaults, which kill a job after an hour."""
PATIENCE = 30.0  # seconds that a job has for its checkpoint before it is asked again to stop


def launcher_of(config: DictConfig) -> str:
    """Return the class of a config's launcher, without its module."""
    return str(config.hydra.launcher["_target_"]).rpartition(".")[2]


def set_defaults(config: DictConfig, more: Mapping[str, Any]) -> None:
    """Give the plugins' own launchers lgan's defaults, and `more`, where nothing else is typed."""
    if config.hydra.runtime.choices["hydra/launcher"] not in OWN_CHOICES:
        return
    said = {each.lstrip("+").partition("=")[0] for each in config.hydra.overrides.hydra}
    with read_write(config), open_dict(config):
        for key, value in {**DEFAULTS.get(launcher_of(config), {}), **more}.items():
            if f"hydra.launcher.{key}" not in said:
                config.hydra.launcher[key] = value


def keep_private(config: DictConfig) -> None:
    """Keep others out of submitit's folder: its pickled jobs hold the command line as it is."""
    folder = Path(config.hydra.sweep.dir, ".submitit")
    if launcher_of(config) in (LOCAL, SLURM):
        with suppress(OSError):  # whoever writes there says so
            folder.mkdir(0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)


def missing_plugin(config: DictConfig) -> str:
    """Return a sentence if the launcher or sweeper of a config is not installed, else ""."""
    for part in ("launcher", "sweeper"):
        package = str(config.hydra[part]["_target_"]).split(".")[:2]
        extra = EXTRAS.get(package[-1])
        if extra is not None and importlib.util.find_spec(".".join(package)) is None:
            return f"hydra/{part}={extra} is not installed; run: pip install 'lgan[{extra}]'."
    return ""


def wait_for_children(seconds: float = float("inf")) -> bool:
    """Wait until every child of this process has ended; return whether they have, in that time."""
    until = time.monotonic() + seconds
    with suppress(ChildProcessError):
        while time.monotonic() < until:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.1)
        return False
    return True


def stop_children() -> None:
    """Ask every child to stop, and wait; ask again, as a job that only just begins is deaf."""
    # submitit's local jobs would outlive this process. Where the system does not list a process's
    # children (Linux does), they are left running.
    lists = Path("/proc/self/task").glob("*/children")
    children = [pid for path in lists for pid in path.read_text().split()]
    while children:
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
        if wait_for_children(PATIENCE):
            return
        children = [pid for pid in children if Path(f"/proc/{pid}").exists()]


VARIABLE = "CUDA_VISIBLE_DEVICES"
_given: list[str] = []  # to this process; once CUDA has started, they cannot be changed


class GpuPlacement(Callback):
    """Hydra callback: spread the jobs of joblib and submitit_local over the visible GPUs.

    A process that runs several jobs (joblib's workers) keeps the group of its first one: CUDA reads
    the variable only once, and the workers' first jobs differ. Slurm and Ray hand out GPUs
    themselves; the basic launcher runs one job at a time.
    """

    def __init__(self) -> None:
        self.devices: list[str] = []

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:  # noqa: ANN401
        """Count the GPUs; the callback is then sent to the jobs with them."""
        if missing := missing_plugin(config):
            print(f"error: {missing}", file=sys.stderr, flush=True)
            raise SystemExit(1)
        launcher, more = launcher_of(config), {}
        if launcher in (JOBLIB, LOCAL):
            self.devices = visible_devices(os.environ)
        if launcher == JOBLIB:
            more = {"n_jobs": sensible_jobs(config, self.devices)}
        elif launcher == SLURM and config.gpus_per_job:
            more = {"gpus_per_node": config.gpus_per_job}
        set_defaults(config, more)

    def on_job_start(self, config: DictConfig, *, task_function: TaskFunction, **_: Any) -> None:  # noqa: ANN401
        """Let this process see the job's devices only."""
        count = gpus_per_job(config)
        if self.devices and count:
            _given[:] = _given or devices_of(config.hydra.job.num, count, self.devices)
            os.environ[VARIABLE] = ",".join(_given)


def devices_of(job: int, per_job: int, devices: Sequence[str]) -> list[str]:
    """Return a job's devices: groups of `per_job` go round; all, where they are fewer than that."""
    groups = max(1, len(devices) // per_job)
    start = job % groups * per_job
    return list(devices[start : start + per_job])


def gpus_per_job(config: DictConfig) -> int:
    """Return the key `gpus_per_job`, or if it is null what `trainer.devices` counts, or 1."""
    if (asked := OmegaConf.select(config, "gpus_per_job")) is not None:
        return int(asked)
    devices = OmegaConf.select(config, "trainer.devices")
    if OmegaConf.is_list(devices):
        return len(devices)
    return devices if isinstance(devices, int) and devices > 0 else 1


def visible_devices(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the visible GPUs, as the variable would list them."""
    import torch

    if VARIABLE in environment:
        return [name.strip() for name in environment[VARIABLE].split(",") if name.strip()]
    return [str(index) for index in range(torch.cuda.device_count())]


def sensible_jobs(config: DictConfig, devices: Sequence[str]) -> int:
    """Return how many jobs run well side by side: one per group of GPUs, or of `threads` cores."""
    # joblib gives each job its share of the cores where `threads` is null.
    if devices:
        return max(1, len(devices) // max(1, gpus_per_job(config)))
    linux = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if linux else os.cpu_count() or 1
    return max(1, cores // int(OmegaConf.select(config, "threads") or 1))
