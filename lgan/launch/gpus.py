"""Which GPUs a job of a sweep sees, where no scheduler decides it."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.experimental.callback import Callback
from hydra.types import TaskFunction
from omegaconf import DictConfig, OmegaConf

from lgan.launch import hydra_launchers as launchers

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
        if missing := launchers.missing_plugin(config):
            print(f"error: {missing}", file=sys.stderr, flush=True)
            raise SystemExit(1)
        launcher, more = launchers.launcher_of(config), {}
        if launcher in (launchers.JOBLIB, launchers.LOCAL):
            self.devices = visible_devices(os.environ)
        if launcher == launchers.JOBLIB:
            more = {"n_jobs": sensible_jobs(config, self.devices)}
        elif launcher == launchers.SLURM and config.gpus_per_job:
            more = {"gpus_per_node": config.gpus_per_job}
        launchers.set_defaults(config, more)

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
