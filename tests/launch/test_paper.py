"""A paper's table as a sweep: a job per cell, on any launcher, then ours beside the paper's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import warm
import yaml
from hydra import compose, initialize
from hydra.types import RunMode
from sweep_table import SHORT, table_of

from lgan.cli.paper import register
from lgan.launch.gpus import GpuPlacement


@pytest.fixture
def paper(tmp_path: Path, cache: Path) -> Callable[..., Any]:
    """Return a function that runs `lgan-paper` on a table of two methods."""
    columns = [{"key": run, "title": run, "run": run, "metric": "accuracy_generated"}
               for run in ("digits", "absent")]  # fmt: skip
    content = {
        "title": "Table",
        "numbers": "paper.yaml#t",
        "runs": {"digits": ["data=digits"], "absent": ["data=image_folder", "data.root=/absent"]},
        "methods": {"sft": ["method=sft"], "joint": ["method=joint"]},
        "columns": columns,
        "budgets": {"smoke": {"note": "nothing", "overrides": SHORT}},
        "leave_out": {},
    }
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump({"t": {"values": {"digits": {"sft": 50}}}}))
    (tmp_path / "table.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def paper(*arguments: str, wait: bool = True) -> Any:
        environment = {**os.environ, "LGAN_CACHE": str(cache)}
        command = [
            warm.python() if wait else sys.executable,
            "-m",
            "lgan.cli.paper",
            f"table={tmp_path}/table.yaml",
        ]
        command += [f"runs={tmp_path}/runs", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started = subprocess.Popen(command, text=True, env=environment, **pipes)
        if not wait:
            return started
        said = started.communicate(timeout=300)
        return subprocess.CompletedProcess(command, started.returncode, *said)

    return paper


def jobs_of(result: subprocess.CompletedProcess) -> dict[str, list[str]]:
    """Return the cells of the table of jobs, by status."""
    found: dict[str, list[str]] = {}
    on_screen = subprocess.CompletedProcess(result.args, 0, result.stderr, "")
    for row in table_of(on_screen):
        found.setdefault(row[1], []).append(row[2].removeprefix("cell="))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [[], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]])
def test_cells_are_jobs_and_absent_data_are_no_failure(paper, tmp_path, launcher) -> None:
    first = paper(*launcher)
    assert first.returncode == 0, first.stderr
    expected = {"complete": ["digits/sft/0", "digits/joint/0"],
                "no data": ["absent/sft/0", "absent/joint/0"]}  # fmt: skip
    assert jobs_of(first) == expected
    assert "4 jobs: 2 complete, 2 no data" in first.stderr
    assert "[4/4] absent, joint, seed 0" in first.stderr or launcher
    text = (tmp_path / "runs/table.md").read_text()
    assert first.stdout == text and "| digits | sft | " in text
    assert "| data cannot be had here |" in text
    again = paper(*launcher, "methods=[sft]", "seeds=[0,1]", "cell=digits/sft/0,digits/sft/1")
    assert again.returncode == 0, again.stderr
    assert jobs_of(again) == {"skipped": ["digits/sft/0"], "complete": ["digits/sft/1"]}
    assert not (tmp_path / "runs/.sweep").exists()


@pytest.mark.slow
def test_two_processes_share_a_table_and_what_was_killed_goes_on(paper, tmp_path) -> None:
    asked = ("only=[digits]", 'overrides=["training.steps=20"]')  # long enough to be stopped in
    first = paper(*asked, wait=False)
    while not list((tmp_path / "runs").glob("*/config.yaml")):
        assert first.poll() is None and not time.sleep(0.05)
    first.send_signal(signal.SIGSTOP)
    try:
        beside = paper(*asked)
        assert beside.returncode == 0, beside.stderr
        (held,) = jobs_of(beside)["elsewhere"]
        others = {"digits/sft/0", "digits/joint/0"} - {held}
        assert first.poll() is None
        assert "| another process is training it |" in beside.stdout
        assert "absent" not in beside.stdout
    finally:
        first.kill()
        first.communicate()
    after = paper(*asked)
    assert jobs_of(after) == {"complete": [held], "skipped": sorted(others)}
    assert "another process" not in after.stdout


@pytest.mark.slow
def test_a_failed_cell_stops_no_other_and_the_table_says_why(paper, tmp_path) -> None:
    path = tmp_path / "table.yaml"
    content = yaml.safe_load(path.read_text())
    content["methods"]["sft"].append("training.batch_size=99999")
    del content["runs"]["absent"], content["columns"][1]
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    result = paper()
    assert result.returncode == 1
    assert jobs_of(result) == {"failed": ["digits/sft/0"], "complete": ["digits/joint/0"]}
    assert "1 of 2 jobs" in result.stderr and "Traceback" not in result.stderr
    assert "failed: training.batch\\_size=99999 must lie between" in result.stdout


def test_slurm_is_asked_for_a_job_per_cell(paper, tmp_path) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    register()
    asked = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu", "gpus_per_job=2"]
    with initialize(version_base="1.3", config_path=None):
        overrides = [f"table={tmp_path}/table.yaml", *asked]
        config = compose("paper", overrides, return_hydra_config=True)
        nothing = compose("paper", [*overrides, "dry_run=true"], return_hydra_config=True)
    assert (config.hydra.mode, nothing.hydra.mode) == (RunMode.MULTIRUN, RunMode.RUN)
    assert config.hydra.launcher.partition == "gpu"
    cells = ["digits/sft/0", "digits/joint/0", "absent/sft/0", "absent/joint/0"]
    assert config.hydra.sweeper.params.cell.split(",") == cells
    GpuPlacement().on_multirun_start(config)
    assert config.hydra.launcher.gpus_per_node == 2
