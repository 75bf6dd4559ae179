"""The Makefile: what `make` lists, and what its targets would run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAPERS = re.compile(r"^(?:table|figure)-[a-z]+-\d+$")

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


def make(*arguments: str) -> str:
    # Under `make test` this is a make inside a make, which would say so around its output.
    alone = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(
        ["make", *arguments], cwd=ROOT, env=alone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def phony() -> list[str]:
    """Return the targets, as the Makefile itself expands them."""
    lines = make("--print-data-base", "--dry-run", "help").splitlines()
    [found] = [line for line in lines if line.startswith(".PHONY:")]
    return found.partition(":")[2].split()


def test_the_list_names_every_target_once() -> None:
    listed = [line.split()[0] for line in make().splitlines() if line.startswith("  ")]
    listed.remove("Settings:")
    assert sorted(listed) == sorted(phony())
    assert len(listed) == len(set(listed)) > 15


def test_every_papers_target_runs_a_table_that_exists() -> None:
    targets = [name for name in phony() if PAPERS.match(name)]
    assert {"table-piggyback-4", "figure-piggyback-2", "table-dgm-1", "table-mergan-2"} <= set(
        targets
    )
    for name in targets:
        command = make("--dry-run", name, "BUDGET=cpu", "DATA_ROOT=/data").splitlines()[-1]
        [table] = re.findall(r"table=(\S+)", command)
        assert (ROOT / table).is_file(), name
        kind, paper, number = name.split("-")
        assert table == f"experiments/{paper}/{kind}{number}.yaml"
        assert "budget=cpu" in command and "data_root=/data" in command


def test_boards_are_made_with_as_many_seeds_as_the_budget_allows() -> None:
    whole = make("--dry-run", "board", "BUDGET=cpu", "JOBS=3").splitlines()[-2:]
    quick = make("--dry-run", "board").splitlines()[-2:]
    for line, name in zip(whole, ("digits", "photos"), strict=True):
        assert f"table=experiments/board/{name}.yaml" in line and "hydra.launcher.n_jobs=3" in line
        assert (ROOT / f"experiments/board/{name}.yaml").is_file()
    assert "'seeds=[0,1,2,3,4]'" in whole[0] and "'seeds=[0,1,2]'" in whole[1]
    assert all("budget=smoke" in line and "'seeds=[0]'" in line for line in quick)


def test_the_demo_of_translation_trains_its_methods() -> None:
    train, table, report = make("--dry-run", "demo-translation", "SEEDS=0,1").splitlines()[-3:]
    methods = "full,sft,sft_heads,piggyback_mask,piggyback_gan,pure_factorization"
    assert f"method={methods} seed=0,1 data=photos budget=cpu" in train
    for line in (train, table, report):
        assert "runs=outputs/demo-translation" in line
    assert "output=report-translation.html" in report
