"""What W&B's own client sends to a server, and a server that goes away while a run is trained."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
from short_runs import SHORT
from wandb_server import WandbServer, wandb_server

from lgan.run.record import RunRecord

pytestmark = [  # not imported for that, which takes a second
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("wandb") is None, reason="needs lgan[wandb]"),
]


def train(server: WandbServer, tmp_path, cache, *overrides: str) -> subprocess.CompletedProcess:
    """Train in a process of its own: W&B's client keeps its first settings for a process's life."""
    command = [sys.executable, "-m", "lgan.cli.train", *SHORT, "logger=wandb",
               "logger.offline=false",
               f"paths.cache={cache}", f"run_dir={tmp_path}/run", *overrides]  # fmt: skip
    settings = {"WANDB_BASE_URL": server.address, "WANDB_API_KEY": "a" * 40, "WANDB_MODE": "online"}
    # This process's own service, if it has one, is another test's.
    environment = {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"}
    return subprocess.run(
        command, env=environment | settings, capture_output=True, text=True, timeout=100
    )


def test_a_server_is_told_of_the_run_and_of_its_numbers(tmp_path, cache) -> None:
    with wandb_server() as server:
        done = train(server, tmp_path, cache, "callbacks.losses.every=1", "logger.group=ours",
                     "logger.artifact=true", "tags=[ours]")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    run = server.runs[0]
    assert run["groupName"] == "ours" and run["project"] == "lgan"
    assert run["jobType"] == "sft" and run["tags"] == ["ours"]
    history = server.history()
    assert [row["_step"] for row in history] == sorted(row["_step"] for row in history)
    told = [row["overall/fid_classifier"] for row in history if "overall/fid_classifier" in row]
    kept = [row["overall"]["fid_classifier"] for row in RunRecord.load(tmp_path / "run").rows]
    assert told == pytest.approx(kept) and len(told) == 2
    assert ["results" in row for row in history][-1] and sum("results" in r for r in history) == 1
    assert [row["task"] for row in history if "border/accuracy_generated" in row] == [0, 1]
    ranked, kept = server.summary(), RunRecord.load(tmp_path / "run")
    assert ranked["border/accuracy_generated"] == kept.overall("accuracy_generated")
    assert ranked["task"] == 1 and ranked["matrix/accuracy_generated"]["_type"]
    axes = server.axes()
    drawn_over_tasks = {"border/forgetting", "task0/accuracy_generated", "samples"}
    assert {axes[key] for key in drawn_over_tasks} == {"task"}
    assert axes.get("loss/generator") != "task"
    assert f"results-{run['name']}" in server.artifacts
    assert server.streams[-1]["complete"] and server.streams[-1]["exitcode"] == 0

    if find_spec("wandb_workspaces"):
        assert_dashboard(server)


def assert_dashboard(server: WandbServer) -> None:
    """What a run has logged is enough for every section of a dashboard."""
    from lgan.reports.dashboard import Dashboard, logged

    config = {key: entry["value"] for key, entry in server.config().items()}
    (found,) = logged([(config, server.summary())])
    dashboard = Dashboard("me", "project", "title", found)
    made = {section.title: section.panels for section in dashboard.sections()}
    curves = {title for title in made if title.startswith("Forgetting curves: ")}
    assert "Forgetting curves: accuracy_generated" in curves
    assert all(len(made[title]) == 2 for title in curves)
    assert made.keys() - curves == {"Methods compared", "From task to task", "Result matrices",
                                    "Pictures", "All results"}  # fmt: skip
    bars = {panel.metrics[0]: panel.title for panel in made["Methods compared"]}
    assert bars["border/forgetting"] == "forgetting (accuracy_generated)"
    assert {"border/accuracy_generated", "border/aiq_accuracy", "border/parameters_stored",
            "border/accuracy_first_task"} <= bars.keys()  # fmt: skip


def test_a_server_that_goes_away_costs_a_warning(tmp_path, cache) -> None:
    with wandb_server(leaves=True) as server:
        done = train(server, tmp_path, cache, "logger.finish_timeout=2")
        assert len(server.runs) == 1 and not server.history()
    assert done.returncode == 0, done.stderr
    assert RunRecord.load(tmp_path / "run").complete
    (folder,) = (tmp_path / "run/wandb").glob("run-*")
    assert f"`wandb sync --include-online {folder}` uploads what W&B wrote" in done.stderr
    with wandb_server() as later:
        settings = {"WANDB_BASE_URL": later.address, "WANDB_API_KEY": "a" * 40}
        command = [sys.executable, "-m", "wandb", "sync", "--include-online", str(folder)]
        environment = {**os.environ, **settings, "WANDB_MODE": "online"}
        subprocess.run(command, env=environment, check=True, timeout=60, cwd=tmp_path)
        assert any("accuracy_generated" in name for row in later.history() for name in row)
