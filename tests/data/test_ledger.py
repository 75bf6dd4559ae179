"""What real pictures a task's training opened is noted, or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
import pytest

from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.ledger import breaches
from lgan.errors import TaskAccessError
from lgan.methods.base import LifelongGAN
from lgan.methods.joint import Joint
from lgan.methods.sft import SFT
from lgan.run.record import RunRecord
from lgan.training.train import train

READS: dict[str, Callable[[TaskSequenceDataModule], Any]] = {
    "splits": lambda data: data.splits,
    "validation": lambda data: data.validation_images(0),
    "future validation": lambda data: data.validation_images(2),
    "test": lambda data: data.test_images(1),
    "judge": lambda data: data.training_images_for_evaluation(),
    "another task": lambda data: data.open(0),
    "a later task and all before": lambda data: data.open(2, cumulative=True),
}


@pytest.fixture
def data(make_splits: Callable[..., Any]) -> TaskSequenceDataModule:
    return TaskSequenceDataModule(make_splits, "counted", num_tasks=3, batch_size=4, steps=2)


@pytest.mark.parametrize("what", READS)
def test_only_the_own_task_while_one_is_trained(data: TaskSequenceDataModule, what: str) -> None:
    READS[what](data)  # nothing is trained
    with data.ledger.training(1), pytest.raises(TaskAccessError, match="while task 1 is trained"):
        READS[what](data)
    READS[what](data)
    assert data.ledger.entries == {}


def test_what_is_opened_is_noted_once(data: TaskSequenceDataModule) -> None:
    with data.ledger.training(1):
        for _ in range(2):
            data.open(1)
            data.validation_images(1)
            with data.reading("evaluation"):
                data.test_images_of([0, 1])
        with data.reading("selection"):
            data.validation_images(0)
    own = {"tasks": [1], "by": "task"}
    assert data.ledger.entries == {
        "1": [
            {**own, "split": "train", "images": 8},
            {**own, "split": "validation", "images": 2},
            {"by": "evaluation", "split": "test", "tasks": [0, 1], "images": 6},
            {"by": "selection", "split": "validation", "tasks": [0], "images": 2},
        ]
    }
    with data.ledger.training(2), data.reading("evaluation"):
        data.test_images_of([0, 1])  # as a process does that goes on in task 2
    assert data.ledger.entries["2"] == []
    assert breaches(data.ledger.entries) == ["selects by real validation data of old classes"]


def test_classes_that_no_task_uses_are_not_counted(data: TaskSequenceDataModule) -> None:
    with data.ledger.training(0), data.reading("evaluation"):
        assert len(data.training_images_for_evaluation()) == 32
    assert data.ledger.entries["0"][0]["images"] == 24


@pytest.mark.parametrize("what", READS)
def test_a_plain_fit_is_guarded_too(make_method, data: TaskSequenceDataModule, what: str) -> None:
    class Curious(L.Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            READS[what](data)

    data.open(1)
    method = make_method(SFT)
    trainer = L.Trainer(max_epochs=1, callbacks=[Curious()], logger=False, accelerator="cpu",
                        enable_checkpointing=False, enable_progress_bar=False)  # fmt: skip
    with pytest.raises(TaskAccessError):
        trainer.fit(method, datamodule=data)
    READS[what](data)


def mixing(reader: str | None) -> Callable[..., Any]:
    """Return a loss that mixes real pictures of old tasks in."""
    plain = LifelongGAN.loss

    def loss(self: SFT, player: str, batch: dict[str, Any]) -> Any:
        data = self.trainer.datamodule
        if reader is None:
            data.splits.train.of_classes([0])
        else:
            with data.reading(reader):
                data.splits.train.of_classes([0])
        return plain(self, player, batch)

    return loss


@pytest.mark.slow
def test_a_run_tells_what_it_opened(configure, monkeypatch: pytest.MonkeyPatch) -> None:
    small = ["data.num_tasks=2", "training.steps=1"]
    plain = RunRecord.load(train(configure(*small, "method=sft")))
    assert plain.declaration == ""
    for task, entries in plain.ledger.items():
        read = [(e["by"], e["split"], e["tasks"]) for e in entries if e["by"] != "evaluation"]
        assert read == [("task", "train", [int(task)])]
        assert not any("in_fit" in entry for entry in entries)
    assert "test" in {e["split"] for e in plain.ledger["0"] if e["by"] == "evaluation"}

    joint = RunRecord.load(train(configure(*small, "method=joint")))
    assert joint.declaration == "keeps all real data"
    monkeypatch.setattr(Joint, "rules_broken", lambda self: [])  # as witnessed, not as declared
    joint = RunRecord.load(train(configure(*small, "method=joint", "seed=1")))
    assert joint.declaration == "keeps all real data"

    monkeypatch.setattr(SFT, "loss", mixing(None), raising=False)
    with pytest.raises(TaskAccessError, match="train pictures"):
        train(configure(*small, "method=sft", "seed=1"))
    for seed, reader in ((2, "method"), (3, "evaluation")):
        monkeypatch.setattr(SFT, "loss", mixing(reader), raising=False)
        seen = RunRecord.load(train(configure(*small, "method=sft", f"seed={seed}")))
        assert "reads real train pictures of other tasks" in seen.declaration
        assert any(e.get("in_fit") and e["by"] == reader for e in seen.ledger["0"])
