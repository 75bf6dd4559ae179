"""Slurm: the script that is submitted, and that its command trains; a shell script is `sbatch`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sweep_table import SHORT, table_of

SLURM = Path(__file__).parent / "slurm"


def test_the_submitted_script_asks_for_what_the_job_needs_and_trains(tmp_path, cache) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    environment = {
        **os.environ,
        "LGAN_CACHE": str(cache),
        "FAKE_SLURM": str(tmp_path),
        "PATH": f"{SLURM}{os.pathsep}{os.environ['PATH']}",
    }
    command = [
        sys.executable, "-m", "lgan.train", "-m", f"paths.runs={tmp_path}/runs", *SHORT,
        "hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu", "gpus_per_job=2",
        "seed=0,1",
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = table_of(done)
    assert [row[1] for row in rows] == ["complete", "complete"]
    assert len(list((tmp_path / "runs").glob("*/checkpoints/task1.pt"))) == 2
    # Slurm's choice of devices is the job's own: it is left as it is.
    assert (tmp_path / "devices").read_text().split() == ["5", "5"]
    lines = (tmp_path / "script.sh").read_text().splitlines()
    for line in ("gpus-per-node=2", "ntasks-per-node=1", "nodes=1", "time=1440",
                 "signal=USR2@120", "array=0-1%2", "partition=gpu"):  # fmt: skip
        assert f"#SBATCH --{line}" in lines
    assert lines[-1].startswith("srun ") and "submitit.core._submit" in lines[-1]
