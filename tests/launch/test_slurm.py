"""Slurm: the script that is submitted, that its command trains, and a job that is preempted.

Shell scripts stand for `sbatch`, `srun`, `sacct` and `scontrol`; submitit's side is the real one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import warm
from sweep_table import SHORT, table_of

from lgan.run.borders import load_border

pytestmark = pytest.mark.slow

pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
SLURM = Path(__file__).parent / "slurm"


@contextmanager
def submitted(
    tmp_path: Path, cache: Path, *overrides: str, python: str | None = None
) -> Iterator[subprocess.Popen]:
    """Submit a sweep; its own process does not outlive the block."""
    environment = {
        **os.environ,
        "LGAN_CACHE": str(cache),
        "FAKE_SLURM": str(tmp_path),
        "PATH": f"{SLURM}{os.pathsep}{os.environ['PATH']}",
    }
    command = [
        python or warm.python(), "-m", "lgan.cli.train", "-m", f"paths.runs={tmp_path}/runs",
        *SHORT, "hydra/launcher=submitit_slurm", *overrides,
    ]  # fmt: skip
    process = subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()


def end(process: subprocess.Popen) -> list[list[str]]:
    """Wait until a sweep has ended well; return its table."""
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return table_of(subprocess.CompletedProcess(process.args, 0, out, err))


def test_the_submitted_script_asks_for_what_the_job_needs_and_trains(tmp_path, cache) -> None:
    settings = ["hydra.launcher.partition=gpu", "gpus_per_job=2", "seed=0,1"]
    with submitted(tmp_path, cache, *settings, python=sys.executable) as sweep:
        assert [row[1] for row in end(sweep)] == ["complete", "complete"]
    assert len(list((tmp_path / "runs").glob("*/checkpoints/task1.pt"))) == 2
    # Slurm's choice of devices is the job's own: it is left as it is.
    assert (tmp_path / "devices").read_text().split() == ["5", "5"]
    lines = (tmp_path / "script.sh").read_text().splitlines()
    for line in ("gpus-per-node=2", "ntasks-per-node=1", "nodes=1", "time=1440",
                 "signal=USR2@120", "array=0-1%2", "partition=gpu"):  # fmt: skip
        assert f"#SBATCH --{line}" in lines
    assert lines[-1].startswith("srun ") and "submitit.core._submit" in lines[-1]


def preempt(sweep: subprocess.Popen, tmp_path: Path) -> None:
    """Send the job what Slurm sends before it takes the machine away, as soon as it trains."""
    until = time.monotonic() + 120
    while not list(tmp_path.glob("runs/*/metrics.csv")):
        assert sweep.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGUSR2)


@pytest.mark.parametrize(
    "several",
    [
        ["trainer=cpu", "training.steps=400"],
        ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "training.steps=100"],
    ],
)
def test_a_preempted_job_is_queued_again_and_loses_no_step(tmp_path, cache, several) -> None:
    settings = [*several, "callbacks.losses.every=1"]
    with submitted(tmp_path, cache, *settings) as sweep:
        preempt(sweep, tmp_path)
        assert [row[1] for row in end(sweep)] == ["complete"]
    assert (tmp_path / "requeued").read_text().split() == ["7"]
    assert "stopped by SIGUSR2 at task " in (tmp_path / "job.log").read_text()
    (checkpoint,) = tmp_path.glob("runs/*/checkpoints/task1.pt")
    whole = [f"run_dir={tmp_path}/whole", f"paths.cache={cache}", *SHORT, *settings]
    subprocess.run([warm.python(), "-m", "lgan.cli.train", *whole], check=True, timeout=200)
    expected = load_border(tmp_path / "whole/checkpoints/task1.pt")["state"]
    state = load_border(checkpoint)["state"]
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in state)
