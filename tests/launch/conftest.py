"""A sweep as a user starts one: `lgan-train -m ...` in a process of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import warm
from sweep_table import SHORT


@pytest.fixture
def sweep(tmp_path: Path, cache: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Return a function that runs a sweep of short digit runs into tmp_path/runs."""

    def sweep(*overrides: str, **variables: str) -> subprocess.CompletedProcess:
        here = str(Path(__file__).parents[1] / "helpers")
        environment = {**os.environ, "LGAN_CACHE": str(cache), "PYTHONPATH": here, **variables}
        command = [warm.python(), "-m", "lgan.cli.train", "-m", f"paths.runs={tmp_path}/runs"]
        return subprocess.run(
            [*command, *SHORT, *overrides],
            capture_output=True, text=True, env=environment, timeout=300, check=False,
        )  # fmt: skip

    return sweep
