"""Which GPUs a job sees; computed, as the tests' machine need not have any."""

from __future__ import annotations

import os

import pytest
import torch
from omegaconf import OmegaConf

from lgan.launch import gpus
from lgan.launch.gpus import (
    GpuPlacement,
    devices_of,
    gpus_per_job,
    missing_plugin,
    sensible_jobs,
    visible_devices,
)

JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"
LOCAL = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher"
SLURM = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
CHOICES = {JOBLIB: "joblib", LOCAL: "submitit_local", SLURM: "submitit_slurm", BASIC: "basic"}


def config(launcher: str, job: int = 0, said: tuple[str, ...] = (), **keys):
    target = {"_target_": launcher, "n_jobs": -1, "timeout_min": 60, "gpus_per_node": None}
    hydra = {
        "launcher": target,
        "sweeper": {"_target_": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"},
        "job": {"num": job},
        "overrides": {"hydra": list(said)},
        "runtime": {"choices": {"hydra/launcher": CHOICES[launcher]}},
    }
    defaults = {"gpus_per_job": None, "threads": None, "trainer": {"devices": 1}}
    return OmegaConf.create({**defaults, **keys, "hydra": hydra})


@pytest.fixture(autouse=True)
def process(monkeypatch):
    """Return a process that has not been given devices yet, on a machine with four."""
    given: list[str] = []
    monkeypatch.setattr(gpus, "_given", given)
    monkeypatch.setattr(gpus, "missing_plugin", lambda config: "")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv(gpus.VARIABLE, "")  # so that it is put back after the test, set or not
    monkeypatch.delenv(gpus.VARIABLE)
    return given


def started(launcher: str, job: int, **keys) -> GpuPlacement:
    placement = GpuPlacement()
    placement.on_multirun_start(config(launcher, **keys))
    placement.on_job_start(config(launcher, job, **keys), task_function=print)
    return placement


@pytest.mark.parametrize(
    ("job", "per_job", "count", "expected"),
    [
        (0, 1, 4, "0"),
        (3, 1, 4, "3"),
        (4, 1, 4, "0"),
        (1, 2, 4, "23"),
        (2, 2, 4, "01"),
        (1, 2, 5, "23"),
        (2, 2, 5, "01"),  # the fifth cannot make a pair
        (7, 8, 4, "0123"),
        (5, 1, 1, "0"),
    ],
)
def test_groups_of_devices_go_round(job, per_job, count, expected) -> None:
    assert devices_of(job, per_job, [str(i) for i in range(count)]) == list(expected)


def test_what_is_visible_already_is_what_there_is() -> None:
    assert visible_devices({}) == ["0", "1", "2", "3"]
    assert visible_devices({"CUDA_VISIBLE_DEVICES": "3, GPU-8f"}) == ["3", "GPU-8f"]
    assert visible_devices({"CUDA_VISIBLE_DEVICES": ""}) == []


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, 1),
        ({"trainer": {"devices": 2}}, 2),
        ({"trainer": {"devices": [0, 1, 2]}}, 3),
        ({"trainer": {"devices": "auto"}}, 1),
        ({"trainer": {"devices": 2}, "gpus_per_job": 4}, 4),
        ({"gpus_per_job": 0}, 0),
    ],
)
def test_a_job_has_as_many_as_its_trainer_uses(keys, expected) -> None:
    assert gpus_per_job(config(JOBLIB, **keys)) == expected


@pytest.mark.parametrize("launcher", [JOBLIB, LOCAL])
def test_jobs_are_spread(launcher, monkeypatch, process) -> None:
    seen = []
    for job in range(5):
        process.clear()  # submitit: a process per job; joblib: its workers' first jobs
        started(launcher, job)
        seen.append(os.environ[gpus.VARIABLE])
        monkeypatch.delenv(gpus.VARIABLE)
    assert seen == ["0", "1", "2", "3", "0"]


def test_a_worker_keeps_its_first_devices(monkeypatch) -> None:
    placement = started(JOBLIB, 1)
    placement.on_job_start(config(JOBLIB, 6), task_function=print)
    assert os.environ[gpus.VARIABLE] == "1"
    monkeypatch.delenv(gpus.VARIABLE)


@pytest.mark.parametrize(
    ("launcher", "keys"), [(SLURM, {}), (BASIC, {}), (JOBLIB, {"gpus_per_job": 0})]
)
def test_others_are_left_alone(launcher, keys) -> None:
    started(launcher, 1, **keys)
    assert gpus.VARIABLE not in os.environ


def test_a_single_run_and_a_machine_without_gpu_are_left_alone(monkeypatch) -> None:
    GpuPlacement().on_job_start(config(JOBLIB, 1), task_function=print)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    started(LOCAL, 1)
    assert gpus.VARIABLE not in os.environ


def test_as_many_jobs_at_a_time_as_there_are_groups(monkeypatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(12)), raising=False)
    for keys, expected in (({}, 4), ({"gpus_per_job": 2}, 2), ({"gpus_per_job": 8}, 1)):
        assert sensible_jobs(config(JOBLIB, **keys), list("0123")) == expected
    assert sensible_jobs(config(JOBLIB), []) == 12
    assert sensible_jobs(config(JOBLIB, threads=4), []) == 3


def test_the_command_line_comes_before_the_defaults() -> None:
    composed = config(JOBLIB)
    GpuPlacement().on_multirun_start(composed)
    assert (composed.hydra.launcher.n_jobs, composed.hydra.launcher.batch_size) == (4, "1")
    composed = config(JOBLIB, said=("hydra.launcher.n_jobs=-1",))
    GpuPlacement().on_multirun_start(composed)
    assert composed.hydra.launcher.n_jobs == -1
    composed = config(SLURM, gpus_per_job=2)
    GpuPlacement().on_multirun_start(composed)
    assert composed.hydra.launcher.gpus_per_node == 2
    assert composed.hydra.launcher.timeout_min == 1440


def test_an_absent_plugin_is_named(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'lgan[joblib]'" in missing_plugin(config(JOBLIB))
    assert missing_plugin(config(BASIC)) == ""
