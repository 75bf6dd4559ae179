"""What is started, and what is said of how it ended, without starting anything."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from lgan.errors import ConfigError, DataError, RunError
from lgan.launch import processes as launch
from lgan.run.signals import StopBySignal


def config(**trainer):
    defaults = {"accelerator": "auto", "devices": "auto", "strategy": {}, "num_nodes": 1}
    return OmegaConf.create(
        {"trainer": defaults | trainer, "launch": {"rendezvous": None}, "run_name": "run"}
    )


@pytest.fixture
def eight_gpus(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)


@pytest.mark.parametrize(
    ("trainer", "count"),
    [
        ({}, 8),
        ({"devices": -1}, 8),
        ({"devices": 3}, 3),
        ({"devices": [0, 5]}, 2),
        ({"accelerator": "cpu"}, 1),
        ({"accelerator": "cpu", "devices": 4}, 4),
        ({"strategy": None}, 1),
    ],
)
def test_a_process_for_each_device(eight_gpus, trainer, count) -> None:
    assert launch.processes(config(**trainer)) == count


def test_more_processes_than_gpus_are_refused(eight_gpus) -> None:
    with pytest.raises(ConfigError, match="trainer.devices=9 is more than the 8 GPUs"):
        launch.processes(config(devices=9))


def failures(**exitcodes) -> SimpleNamespace:
    codes = {int(key[1:]): SimpleNamespace(exitcode=code) for key, code in exitcodes.items()}
    return SimpleNamespace(failures=codes)


def test_the_cause_is_named_and_not_its_consequences(tmp_path: Path) -> None:
    killed = launch.ending(failures(r0=launch.LOST, r2=-signal.SIGKILL), tmp_path)
    assert isinstance(killed, RunError) and "rank 2 was ended by SIGKILL" in str(killed)
    bug = launch.ending(failures(r0=launch.LOST, r1=3), tmp_path)
    assert "rank 1 failed with exit code 3" in str(bug)
    launch.tell(tmp_path, 1, DataError("no pictures."))
    told = launch.ending(failures(r0=-signal.SIGTERM, r1=1), tmp_path)
    assert isinstance(told, DataError) and str(told) == "no pictures."
    assert "rank 1 failed" in str(launch.ending(failures(r0=143, r1=2), tmp_path / "none"))
    aborted = launch.ending(failures(r0=-signal.SIGTERM, r1=-signal.SIGABRT), tmp_path / "none")
    assert "rank 1 was ended by SIGABRT" in str(aborted)
    assert "SIGSEGV" in str(launch.ending(failures(r0=1, r1=-signal.SIGSEGV), tmp_path))


def test_a_signal_that_all_workers_heard_is_passed_on(tmp_path: Path) -> None:
    stop = launch.ending(failures(r0=143, r1=143), tmp_path)
    assert isinstance(stop, StopBySignal) and stop.code == 143


def test_slurm_tells_where_to_meet(monkeypatch) -> None:
    several = config(num_nodes=2)
    monkeypatch.delenv("SLURM_JOB_NODELIST", raising=False)
    with pytest.raises(ConfigError, match="launch.rendezvous=HOST:PORT"):
        launch.meeting_point(several)
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n[1-2]")
    monkeypatch.setenv("SLURM_JOB_ID", "4321")
    assert launch.meeting_point(several) == ("n1:29821", "run")
    several.launch.rendezvous = "head:1234"
    assert launch.meeting_point(several) == ("head:1234", "run")
