"""Secrets of a command line are in no file that a run or a sweep leaves."""

from __future__ import annotations

import gc
import io
import logging
import os
import stat
import subprocess
import sys

import pytest
import warm
from omegaconf import OmegaConf
from short_runs import SHORT

from lgan.launch.gpus import keep_private
from lgan.redaction import HIDDEN, quiet_console, redacted


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({"api_key": "abc", "project": "p"}, {"api_key": HIDDEN, "project": "p"}),
        ({"a": [{"WANDB_API_KEY": 12345}]}, {"a": [{"WANDB_API_KEY": HIDDEN}]}),
        ({"password": None, "token": ""}, {"password": None, "token": ""}),
        ({"max_tokens": 5, "sampling": "token_free"}, {"max_tokens": 5, "sampling": "token_free"}),
        (["+logger.api_key=abc", "seed=1"], [f"+logger.api_key={HIDDEN}", "seed=1"]),
        (("++x={hf_token:abc,y:1}",), (f"++x={{hf_token:{HIDDEN},y:1}}",)),
        ("password='two words', z=1", f"password={HIDDEN}, z=1"),
        ("https://me:p%40ss@host:80/x", f"https://me:{HIDDEN}@host:80/x"),
        ("s3://b/x?X-Amz-Signature=ab12&v=1", f"s3://b/x?X-Amz-Signature={HIDDEN}&v=1"),
        ("http://host:8080/x", "http://host:8080/x"),
        (3.5, 3.5),
    ],
)
def test_what_looks_like_a_secret_is_hidden(given, written) -> None:
    assert redacted(given) == written
    assert redacted(written) == written


def test_a_known_secret_is_hidden_wherever_it_stands() -> None:
    redacted({"api_key": "0123456789abcdef"})
    assert redacted("no access with 0123456789abcdef here") == f"no access with {HIDDEN} here"


def test_the_console_hides_what_the_command_line_says(monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["lgan-train", "+logger.api_key=fedcba987654"])
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "utf-8"))
    monkeypatch.setattr(sys, "stderr", sys.stdout)
    with quiet_console():
        log = logging.StreamHandler(sys.stderr)
        log.emit(logging.makeLogRecord({"msg": "#0 : +logger.api_key=fedcba987654"}))
        print("refused: fedcba987654, \u00f6", end="")
    del log
    gc.collect()
    sys.stdout.write("!")
    sys.stdout.flush()
    assert raw.getvalue().decode() == f"#0 : +logger.api_key={HIDDEN}\nrefused: {HIDDEN}, \u00f6!"


def test_pickled_jobs_are_for_the_owner_alone(tmp_path) -> None:
    hydra = {"sweep": {"dir": str(tmp_path)}, "launcher": {"_target_": "x.LocalLauncher"}}
    (tmp_path / ".submitit").mkdir(mode=0o755)
    keep_private(OmegaConf.create({"hydra": hydra}))
    assert stat.S_IMODE((tmp_path / ".submitit").stat().st_mode) == 0o700


@pytest.mark.slow
@pytest.mark.parametrize("logger", ["wandb", "tensorboard"])
def test_no_file_of_a_sweep_holds_one(tmp_path, cache, logger) -> None:
    if logger == "wandb":
        pytest.importorskip("wandb")
    else:
        pytest.importorskip("tensorboard")
    secrets = ["+logger.api_key=abcdef123456", "+logger.uri=https://me:hushhush99@host/x",
               "+logger.copy=${logger.api_key}", "+logger.password='two hushed words'"]  # fmt: skip
    python = sys.executable if logger == "wandb" else warm.python()
    command = [python, "-m", "lgan.cli.train", "-m", "seed=0,-1", f"logger={logger}",
               f"paths.runs={tmp_path}/runs", *SHORT, "training.steps=1", *secrets]  # fmt: skip
    own = {**os.environ, "LGAN_CACHE": str(cache), "WANDB_MODE": "offline", "TMPDIR": str(tmp_path)}
    result = subprocess.run(command, capture_output=True, text=True, env=own, cwd=tmp_path)
    assert "1 complete" in result.stdout and "1 failed" in result.stdout, result.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 8
    console = {"console": (result.stdout + result.stderr).encode()}
    for path, content in (console | {path: path.read_bytes() for path in files}).items():
        for secret in (b"abcdef123456", b"hushhush99", b"two hushed words"):
            assert secret not in content, path
