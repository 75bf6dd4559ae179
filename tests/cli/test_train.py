"""The console scripts as a user meets them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import warm

pytestmark = pytest.mark.slow

FAST = ["training.steps=2", "data.num_tasks=2", "evaluation=fast", "callbacks.progress=null"]


def call(
    module: str, *arguments: str, cache=None, python: str | None = None
) -> subprocess.CompletedProcess:
    environment = dict(os.environ) | ({"LGAN_CACHE": str(cache)} if cache else {})
    command = [python or warm.python(), "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def test_help_and_config_read_well() -> None:
    text = call("lgan.cli.train", "--help", python=sys.executable).stdout
    for word in ("dgm_w, dgr, dual_memory", "data=image_folder", "lgan-report", "Config"):
        assert word in text
    config = call("lgan.cli.train", "--cfg", "job").stdout
    assert "learning_rate" in config and "lgan.methods.sft.SFT" in config


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("method=foo", "method=foo is no choice; there are dgm_a, dgm_w,"),
        ("training.stepz=3", "stepz"),
        ("data.classes_per_task=0", "error: data.classes_per_task=0"),
    ],
)
def test_mistakes_end_in_a_sentence(tmp_path, argument, message) -> None:
    result = call("lgan.cli.train", argument, f"paths.runs={tmp_path}")
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_sweep_table_report_and_samples(tmp_path, cache) -> None:
    runs = f"paths.runs={tmp_path}/runs"
    result = call(
        "lgan.cli.train", "-m", "method=sft,mergan_jtr", "seed=0,1", runs, *FAST, cache=cache
    )
    assert result.returncode == 0, result.stderr
    folders = [path.parent for path in (tmp_path / "runs").glob("*/results.json")]
    assert len(folders) == 4
    table = call("lgan.cli.table", f"runs={tmp_path}/runs").stdout
    assert "mergan" in table and "sft" in table
    report = tmp_path / "report.html"
    assert call("lgan.cli.report", f"runs={tmp_path}/runs", f"output={report}").returncode == 0
    assert "data:image/png;base64" in report.read_text()
    pictures = f"figures={tmp_path}/figures"
    call("lgan.cli.report", f"runs={tmp_path}/runs", f"output={report}", pictures)
    assert len(list((tmp_path / "figures").glob("digits-*.png"))) == 6
    out = f"output={tmp_path}/pictures"
    result = call("lgan.cli.sample", f"run={folders[0]}", "task=0", "n=3", out)
    assert result.returncode == 0, result.stderr
    assert len(list((tmp_path / "pictures").glob("*/*.png"))) == 6


def test_a_failing_job_does_not_stop_the_sweep(tmp_path, cache) -> None:
    result = call(
        "lgan.cli.train", "-m", "training.batch_size=99999,32", f"paths.runs={tmp_path}", *FAST,
        cache=cache, python=sys.executable,
    )  # fmt: skip
    assert result.returncode == 1
    assert "training.batch_size=99999" in result.stderr
    assert len(list(tmp_path.glob("*/checkpoints/task1.pt"))) == 1


@pytest.mark.parametrize("sweep", [["-m"], []])
def test_a_file_in_the_place_of_the_runs_is_one_sentence(tmp_path, sweep) -> None:
    (tmp_path / "file").write_text("mine")
    result = call("lgan.cli.train", *sweep, f"paths.runs={tmp_path}/file", "seed=0", *FAST)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: could not write {tmp_path}/file")
    assert "paths.runs" in result.stderr and result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
