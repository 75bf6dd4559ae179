"""CSV, TensorBoard and offline W&B."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from lgan.errors import ConfigError
from lgan.reports.columns import every_column
from lgan.run.csv_logger import AppendCSVLogger
from lgan.run.record import RunRecord
from lgan.training.runner import SequenceRunner
from lgan.training.train import train

pytestmark = pytest.mark.slow


def rows(path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_csv_appends_over_restarts_and_rewinds(tmp_path) -> None:
    AppendCSVLogger(tmp_path).log_metrics({"a": 1.0}, step=1)
    again = AppendCSVLogger(tmp_path)
    again.log_metrics({"a": 2.0, "b": 3.0}, step=2)
    path = tmp_path / "metrics.csv"
    assert rows(path) == [["step", "name", "value"], ["1", "a", "1.0"], ["2", "a", "2.0"],
                          ["2", "b", "3.0"]]  # fmt: skip
    with path.open("a") as file:
        file.write("3,a")  # a crash cut this line short
    again.rewind(1)
    assert rows(path) == [["step", "name", "value"], ["1", "a", "1.0"]]


def test_tensorboard_gets_numbers_and_pictures(configure) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = train(configure("logger=tensorboard", "callbacks.losses.every=1"))
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert "samples" in events.Tags()["images"]
    assert [e.step for e in events.Scalars("loss/generator")] == list(range(1, 9))


def assert_whole(table: dict, folder) -> None:
    """A table of W&B has a line for each number of each task at each border."""
    assert table["columns"] == ["border", "task", "metric", "value"]
    kept = [
        [row["task"], task, name, value]
        for row in RunRecord.load(folder).rows
        for task, metrics in enumerate(row["metrics"])
        for name, value in metrics.items()
    ]
    assert {(border, task) for border, task, *_ in kept} == {(0, 0), (1, 0), (1, 1)}
    for found, expected in zip(table["data"], kept, strict=True):
        assert found == pytest.approx(expected, nan_ok=True)


def test_wandbs_table_is_whole_after_a_resume(configure) -> None:
    wandb = pytest.importorskip("wandb")
    config = configure("logger=wandb", "logger.offline=true")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(SequenceRunner, "_save", stopping(SequenceRunner._save))
        train(config)
    folder = Path(config.run_dir)
    assert not list((folder / "wandb").rglob("*.table.json")), "at the end only"
    train(config)
    (table,) = (json.loads(p.read_text()) for p in (folder / "wandb").rglob("*.table.json"))
    assert_whole(table, folder)
    assert wandb.run is None


def stopping(save):
    """Return what saves a border and is stopped then."""

    def saves(self, *args):
        save(self, *args)
        raise KeyboardInterrupt

    return saves


def test_wandb_offline_never_goes_back_over_a_border(configure, monkeypatch) -> None:
    """No account, no network; the step grows over tasks, and the matrix and grids are there."""
    wandb = pytest.importorskip("wandb")
    logged: list[dict] = []
    log = wandb.sdk.wandb_run.Run.log

    def spy(self, data, *args, **kwargs):
        logged.append(dict(data))
        return log(self, data, *args, **kwargs)

    monkeypatch.setattr(wandb.sdk.wandb_run.Run, "log", spy)
    by_task: dict[str, str] = {}
    monkeypatch.setattr(wandb.sdk.wandb_run.Run, "define_metric", defines(by_task))
    config = configure("logger=wandb", "logger.offline=true", "callbacks.losses.every=1")
    assert config.logger.wandb.group is None and config.logger.wandb.job_type == "sft"
    folder = train(config)
    steps = [entry["trainer/global_step"] for entry in logged]
    assert steps == sorted(steps) and steps[-1] == 8
    keys = {key for entry in logged for key in entry}
    assert {"loss/generator", "samples", "results"} <= keys
    assert_drawn_over_tasks(logged, by_task, RunRecord.load(folder))
    assert list((folder / "wandb").glob("offline-run-*/*.wandb"))
    assert wandb.run is None, "the run was not finished"
    pictures = list((folder / "wandb").rglob("*.png"))
    assert any("matrix" in str(path) for path in pictures)
    tables = [json.loads(p.read_text()) for p in (folder / "wandb").rglob("*.table.json")]
    assert pictures and len(tables) == 1, "one table, whatever the number of tasks and metrics"
    assert_whole(tables[0], folder)


def defines(by_task: dict[str, str]):
    """Return what notes the axis of every metric that is defined by its own name."""

    def define_metric(self, name, step_metric=None, **_):
        by_task[name] = step_metric

    return define_metric


def assert_drawn_over_tasks(logged: list[dict], by_task: dict, record: RunRecord) -> None:
    """What is logged at a border has the task, is defined over it, and is what tables show."""
    at_borders = [entry for entry in logged if "task" in entry]
    tasks = [entry["task"] for entry in at_borders]
    assert tasks == sorted(tasks) and set(tasks) == {0, 1}
    measured = {key for entry in at_borders for key in entry}
    assert measured - {"task"} == by_task.keys() - {"*"}
    lightning = {"*", "trainer/global_step"}
    assert {by_task[name] for name in by_task.keys() - lightning} == {"task"}
    assert not any(key.startswith("loss/") for key in measured)
    last = next(entry for entry in reversed(logged) if "border/forgetting" in entry)
    (column,) = [c for c in every_column([record]) if c.key == "forgetting"]
    assert last["border/forgetting"] == pytest.approx(column.read(record))
    averages = [entry["border/average_accuracy_generated"] for entry in at_borders
                if "border/average_accuracy_generated" in entry]  # fmt: skip
    matrix = record.matrix("accuracy_generated")
    assert averages == pytest.approx([matrix[0][0], sum(matrix[1]) / 2])
    assert {"border/parameters_stored", "border/accuracy_first_task", "border/aiq_accuracy",
            "task0/accuracy_generated", "matrix/accuracy_generated"} <= measured  # fmt: skip


def test_a_wandb_client_that_breaks_costs_warnings_and_not_the_run(
    configure, monkeypatch, capsys
) -> None:
    wandb = pytest.importorskip("wandb")
    run = wandb.sdk.wandb_run.Run
    log, finish, tried = run.log, run.finish, []

    def breaks(self, data, *args, **kwargs):
        tried.append(data)
        if len(tried) > 2:
            raise ConnectionResetError("Connection lost.")
        log(self, data, *args, **kwargs)

    def ends_badly(self, *args, **kwargs):
        finish(self, *args, **kwargs)
        raise ConnectionResetError("Connection lost.")

    monkeypatch.setattr(run, "log", breaks)
    monkeypatch.setattr(run, "finish", ends_badly)
    folder = train(configure("logger=wandb", "callbacks.losses.every=1"))
    assert RunRecord.load(folder).complete
    assert len(tried) == 4, "numbers and tables are given up once each"
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning: W&B" in line]
    assert len(warnings) == 3 and all(
        "ConnectionResetError: Connection lost" in w for w in warnings
    )
    assert f"`wandb sync --include-online {folder}/wandb/" in warnings[-1]
    assert "8" in {row[0] for row in rows(folder / "metrics.csv")}, "the CSV file lost steps"


@pytest.mark.parametrize("seconds", ["soon", "-1", "null"])
def test_a_senseless_time_for_wandb_is_refused(configure, seconds) -> None:
    with pytest.raises(ConfigError, match=f"logger.finish_timeout={seconds}|=None must be"):
        train(configure("logger=wandb", f"logger.finish_timeout={seconds}"))


def test_ids_that_wandb_would_refuse_become_a_hash() -> None:
    pytest.importorskip("wandb")
    from lgan.run.wandb_logger import wandb_id

    assert wandb_id("digits-sft-default-seed0-0a1b2c3d") == "digits-sft-default-seed0-0a1b2c3d"
    names = ["a/b", "a:b", "a b", "gr\u00fcn", "a" * 120, "a" * 121]
    found = [wandb_id(name) for name in names]
    assert len(set(found)) == len(names)
    assert all(re.fullmatch(r"[0-9a-f]{32}", each) for each in found)
