"""W&B in a sweep: a run per job, one group for all, offline."""

from __future__ import annotations

import re

import pytest
from hydra.core.global_hydra import GlobalHydra
from sweep_table import SHORT

from lgan.cli.train import main

pytestmark = pytest.mark.slow


def test_jobs_are_runs_of_one_group(tmp_path, cache, monkeypatch) -> None:
    wandb = pytest.importorskip("wandb")
    seen: list[tuple] = []
    groups: set[str] = set()
    start, finish = wandb.init, wandb.sdk.wandb_run.Run.finish

    def init(**settings):
        seen.append(("init", settings["id"], settings["name"], settings["job_type"]))
        groups.add(settings["group"])
        return start(**settings)

    def finished(run, *args, **kwargs):
        seen.append(("finish", run.id, kwargs["exit_code"]))
        return finish(run, *args, **kwargs)

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setattr(wandb.sdk.wandb_run.Run, "finish", finished)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("LGAN_CACHE", str(cache))
    runs = tmp_path / "runs"
    command = ["lgan-train", "-m", f"paths.runs={runs}", *SHORT, "logger=wandb", "seed=0,1"]
    monkeypatch.setattr("sys.argv", command)
    try:
        main()
    finally:
        GlobalHydra.instance().clear()
    names = [event[1] for event in seen if event[0] == "init"]
    assert len(set(names)) == 2 and all((runs / name / "results.json").exists() for name in names)
    assert seen == [
        event
        for name in names
        for event in (("init", name, name, "sft"), ("finish", name, 0))
    ]  # fmt: skip
    (group,) = groups
    assert re.fullmatch(r"seed \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", group)
    for name in names:
        assert len(list((runs / name / "wandb").glob(f"offline-run-*-{name}"))) == 1
