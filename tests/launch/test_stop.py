"""A sweep that is told to stop tells its jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from sweep_table import SHORT, table_of

pytestmark = pytest.mark.slow


def test_jobs_of_submitit_stop_with_their_sweep_and_keep_a_checkpoint(tmp_path, cache) -> None:
    """They are processes of their own and would go on in secret."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    command = [
        sys.executable, "-m", "lgan.cli.train", "-m", f"paths.runs={tmp_path}/runs", *SHORT,
        "hydra/launcher=submitit_local", "training.steps=100000", "callbacks.losses.every=1",
    ]  # fmt: skip
    process = subprocess.Popen(
        command,
        env={**os.environ, "LGAN_CACHE": str(cache)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        while not list(tmp_path.glob("runs/*/metrics.csv")):  # until it trains
            assert process.poll() is None, process.communicate()
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM, err
    rows = table_of(subprocess.CompletedProcess(command, 0, out, err))
    assert [row[1] for row in rows] == ["stopped"]
    assert len(list(tmp_path.glob("runs/*/checkpoints/last.ckpt"))) == 1
