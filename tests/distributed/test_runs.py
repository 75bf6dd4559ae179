"""Runs of several processes through the command line: sweeps, machines, deaths, mistakes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import warm

from lgan.run.borders import load_border
from lgan.run.record import RunRecord

pytestmark = pytest.mark.slow

SHORT = [
    "data=digits",
    "data.num_tasks=2",
    "training.steps=8",
    "evaluation=fast",
    "callbacks.samples.per_class=2",
    "callbacks.progress=null",
    "callbacks.checkpoint.every=3",
    "threads=1",
    "trainer=ddp",
    "trainer.accelerator=cpu",
]


TWO = ["method=dgm_w", "trainer.devices=2"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


def start(
    cache: Path, *arguments: str, python: str | None = None, script: str = "train"
) -> subprocess.Popen:
    flags = [a for a in arguments if a.startswith("-")]  # Hydra wants them before the overrides
    own = SHORT if script == "train" else SHORT[-2:]
    overrides = [*own, f"paths.cache={cache}", *(a for a in arguments if a not in flags)]
    command = [python or warm.python(), "-m", f"lgan.cli.{script}", *flags, *overrides]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> str:
    """Wait for a process that must end well; return what it printed."""
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err[-3000:]
    return out + err


def fault(step: int, action: str, marker: Path, rank: int) -> list[str]:
    values = {
        "_target_": "benchmarks.faults.FaultAt", "task": 1, "step": step, "action": action,
        "marker": marker, "rank": rank,
    }  # fmt: skip
    own = [f"+callbacks.watch_fault.{key}={value}" for key, value in values.items()]
    return ["trust=[benchmarks]", *own]


@pytest.fixture(scope="module")
def whole(cache, tmp_path_factory) -> Path:
    """Return a run of two tasks in two processes that nothing disturbs."""
    folder = tmp_path_factory.mktemp("two") / "whole"
    finish(start(cache, *TWO, f"run_dir={folder}"))
    return folder


def states(folder: Path) -> list[dict[str, torch.Tensor]]:
    return [load_border(folder / f"checkpoints/task{t}.pt")["state"] for t in range(2)]


def assert_equal(one: Path, other: Path) -> None:
    for whole, resumed in zip(states(one), states(other), strict=True):
        assert whole.keys() == resumed.keys()
        for key in whole:
            assert torch.equal(whole[key], resumed[key]), key
    rows = [RunRecord.load(folder).rows for folder in (one, other)]
    assert [r["overall"] for r in rows[0]] == [r["overall"] for r in rows[1]]
    assert [r["retention"] for r in rows[0]] == [r["retention"] for r in rows[1]]


def test_a_run_that_is_extended_in_two_processes_is_that_of_one_go(cache, whole, tmp_path) -> None:
    finish(start(cache, *TWO, "data.num_tasks=1", f"run_dir={tmp_path}/parent"))
    asked = [f"run={tmp_path}/parent", "num_tasks=2", f"run_dir={tmp_path}/run"]
    finish(start(cache, *asked, *TWO[1:], script="extend"))
    assert_equal(whole, tmp_path / "run")


def test_a_rank_that_dies_stops_the_run_which_then_goes_on_bit_for_bit(
    cache, whole, tmp_path
) -> None:
    """DGM's discriminator has batch statistics: each rank's own, saved from each rank."""
    broken = [*TWO, f"run_dir={tmp_path}/broken"]
    died = start(cache, *broken, *fault(5, "kill", tmp_path / "marker", rank=1))
    error = died.communicate(timeout=180)[1]
    assert died.returncode == 1
    assert "error: rank 1 was ended by SIGKILL" in error and "Traceback" not in error
    assert "the same command goes on from there" in error
    finish(start(cache, *broken))
    assert_equal(whole, tmp_path / "broken")


def test_a_sweep_starts_its_own_ranks_for_every_job(cache, tmp_path) -> None:
    printed = finish(
        start(cache, "-m", "method=sft,mergan_jtr", "trainer.devices=2", f"paths.runs={tmp_path}")
    )
    assert "2 jobs: 2 complete" in printed
    folders = list(tmp_path.glob("digits-*"))
    assert len(folders) == 2
    assert all(RunRecord.load(folder).complete for folder in folders)


def test_two_machines_meet(cache, tmp_path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    machines = ["trainer.num_nodes=2", "trainer.devices=1", f"launch.rendezvous=127.0.0.1:{port}"]
    both = [start(cache, *machines, f"run_dir={tmp_path}/run") for _ in range(2)]
    for machine in both:
        finish(machine)
    assert RunRecord.load(tmp_path / "run").complete


def test_somebody_elses_torchrun(cache, tmp_path) -> None:
    command = [warm.python(), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
               "-m", "lgan.cli.train", *SHORT, f"paths.cache={cache}",
               "trainer.devices=2"]  # fmt: skip
    subprocess.run([*command, f"run_dir={tmp_path}/run"], check=True, timeout=180)
    assert RunRecord.load(tmp_path / "run").complete
    with (tmp_path / "run/metrics.csv").open() as file:
        lines = [line.split(",")[:2] for line in file]
    assert len(lines) == len({tuple(line) for line in lines}), "two ranks wrote the log"


def test_workers_end_with_what_started_them(cache, tmp_path) -> None:
    marker = tmp_path / "marker"
    run = [f"run_dir={tmp_path}/run", "trainer.devices=2", "training.steps=100000"]
    own = [*fault(3, "mark", marker, rank=0), "callbacks.watch_fault.task=0"]
    parent = start(cache, *run, *own, python=sys.executable)
    workers = [tmp_path / f"marker.{rank}" for rank in range(2)]
    until = time.monotonic() + 120
    while not all(path.exists() and path.read_text() for path in workers):
        assert time.monotonic() < until and parent.poll() is None
        time.sleep(0.1)
    pids = [int(path.read_text().split()[0]) for path in workers]
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 30
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < until, "a worker outlives its parent"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    """Return whether a process runs; one that is dead and not yet buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trainer.devices=2", "training.batch_size=33"], "must be a multiple of the 2 processes"),
        (["trainer.devices=2", "trainer.sync_batchnorm=true"], "sync_batchnorm=true needs GPUs"),
        (["trainer.devices=zwei"], "trainer.devices=zwei must be a whole number"),
        (["trainer.devices=1", "trainer.num_nodes=2"], "needs launch.rendezvous=HOST:PORT"),
    ],
)
def test_mistakes_end_in_one_sentence(cache, tmp_path, arguments, message) -> None:
    process = start(cache, *arguments, f"run_dir={tmp_path}/run")
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert message in error and error.count("error:") == 1 and "Traceback" not in error, error
    assert not (tmp_path / "run" / "checkpoints").exists()
