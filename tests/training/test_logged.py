"""What W&B is told at a border, of a run beside joint training."""

from __future__ import annotations

import json
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from lgan.metrics.accuracy_single_head import AccuracySingleHead
from lgan.run.folder import RunFolder
from lgan.run.record import RunRecord
from lgan.training import logged

NAME = "accuracy_single_head"
IDENTITY = {"data.steps": 10, "network.discriminator.width": 32}


def record_of(method: str, matrix: list[list[float]]) -> RunRecord:
    rows = [{"task": t, "metrics": [{NAME: value} for value in row],
             "overall": {NAME: sum(row) / len(row)}, "parameters": {"stored": 100 * (t + 1)}}
            for t, row in enumerate(matrix)]  # fmt: skip
    return RunRecord(
        data="digits", method=method, seed=0, num_tasks=2, identity=IDENTITY, rows=rows,
        content={"digest": "d", "classes": {}}, status="complete" if len(rows) == 2 else "running",
        tasks=[{"index": 0, "classes": [0]}, {"index": 1, "classes": [1]}],
        columns=[asdict(column) for column in AccuracySingleHead.columns],
    )  # fmt: skip


@pytest.fixture
def tell(tmp_path, monkeypatch):
    """Return what logs a border of a run, and what W&B hears of it: numbers and titles."""
    heard: dict[str, dict] = {}
    wandb = SimpleNamespace(
        log_metrics=lambda numbers, step: heard.update(numbers=numbers),
        log_hyperparams=lambda said: heard.update(titles=json.loads(said["columns"])),
    )
    monkeypatch.setattr(logged, "to_wandb", lambda loggers: [wandb])

    def tell(matrix: list[list[float]]) -> dict[str, dict]:
        logged.log_border([], record_of("ewc_s", matrix), RunFolder(tmp_path / "own"), 10)
        return heard

    return tell


def test_the_first_border_has_no_forgetting_yet(tell) -> None:
    heard = tell([[0.9]])
    numbers = heard["numbers"]
    assert (
        numbers["border/average_accuracy_single_head"] == numbers["border/aiq_single_head"] == 0.9
    )
    assert not any("forgetting" in key or "intransigence" in key for key in numbers)
    assert heard["titles"].keys() == numbers.keys()


def test_borders_tell_scalars_and_intransigence_where_joint_training_is_known(tell, tmp_path):
    joint = tmp_path / "digits-joint_classifier-code-seed0"
    joint.mkdir()
    record_of("joint_classifier", [[1.0], [0.95, 0.9]]).save(joint)
    heard = tell([[0.9], [0.5, 0.8]])
    assert heard["numbers"] == pytest.approx({
        "border/tasks": 2, "border/accuracy_single_head": 0.65,
        "border/single_head_first_task": 0.5, "border/forgetting_single_head": 0.4,
        "border/aiq_single_head": 0.775, "border/intransigence_single_head": 0.1,
        "border/intransigence_mean_single_head": 0.1, "border/parameters_stored": 200,
        "border/average_accuracy_single_head": 0.65,
    })  # fmt: skip
    assert heard["titles"]["border/forgetting_single_head"] == [
        "forgetting (accuracy_single_head)", "lower"]  # fmt: skip
