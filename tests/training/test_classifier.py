"""Runs without a generator, and runs that select by validation, from training to the report."""

from __future__ import annotations

import json

import pytest
import torch

from lgan.callbacks.selection import SelectByValidation
from lgan.errors import ConfigError, RunError
from lgan.inference.load import load_run
from lgan.inference.sample import draw
from lgan.methods.base import LifelongGAN
from lgan.metrics.classifier_training import predict
from lgan.reports.collect import collect
from lgan.reports.report import render
from lgan.reports.tables import comparison_tables, markdown
from lgan.run.borders import load_border
from lgan.run.record import RunRecord
from lgan.training.build import build_datamodule
from lgan.training.train import train

pytestmark = pytest.mark.slow

MARK = "selects by real validation data of old classes"


def test_a_classifier_alone_runs_and_stands_in_tables(configure, tmp_path) -> None:
    steps = ["training.steps=60", "data.num_tasks=3"]
    folder = train(configure("method=joint_classifier", *steps))
    record = RunRecord.load(folder)
    assert record.complete and record.declaration == "keeps all real data, classifier only"
    assert record.metric_names() == {"accuracy_single_head", "accuracy_single_head_top5"}
    last = record.rows[-1]["overall"]
    assert last["accuracy_single_head_top5"] > last["accuracy_single_head"] > 0.6
    assert set(record.rows[-1]["parameters"]) == {"discriminator", "total"}
    assert "retention" not in record.rows[-1] and not (folder / "samples").exists()
    method, border = load_run(folder)
    with pytest.raises(RunError, match="joint_classifier trains a classifier only"):
        draw(method, [0], 2, seed=0)
    train(configure("method=sft", "data.num_tasks=3"))
    found = collect(tmp_path / "runs")
    text = markdown(comparison_tables(found, ["all"]))
    assert "keeps all real data, classifier only" in text and "top 5" in text
    assert "joint_classifier" in render(found).replace("&#95;", "_")


def test_only_classifiers_make_a_report_too(configure, tmp_path) -> None:
    train(configure("method=joint_classifier"))
    found = collect(tmp_path / "runs")
    text = markdown(comparison_tables(found))
    assert "top 5" not in text and "accuracy_generated, all" not in text.replace("\\", "")
    assert "joint_classifier" in render(found)


def test_icarl_tells_classes_as_measured_when_it_is_loaded(configure) -> None:
    bound = ["method.real_total=30", "data.num_tasks=4", "evaluation.reverse=never"]
    config = configure("method=icarl", *bound)
    folder = train(config)
    record = RunRecord.load(folder)
    assert record.declaration == "keeps real data (K=30, rounded up, by herding)"
    last = record.rows[-1]["overall"]
    assert {"accuracy_single_head", "accuracy_single_head_hybrid1"} < last.keys()
    kept = load_border(folder / "checkpoints" / "task3.pt")["memory"]
    assert {len(pictures) for pictures in kept.values()} == {4}, "30 / 8, rounded up"
    method, _ = load_run(folder)
    test = build_datamodule(config).test_images_of(range(8))
    right = predict(method.classify, test, "cpu", range(8)) == test.labels
    assert right.double().mean().item() == last["accuracy_single_head"]


@pytest.mark.parametrize("name", ["mergan_jtr", "dgm_w", "dgm_a"])
def test_selection_changes_nothing_but_the_record(configure, tmp_path, name) -> None:
    method = [f"method={name}", "training.steps=4"]
    plain = train(configure(*method))
    looked = train(configure(*method, "selection=paper", "selection.every=1"))
    assert plain != looked, "the runs' numbers differ, and so do their folders"
    states = [load_border(folder / "checkpoints/task1.pt")["state"] for folder in (plain, looked)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    before, after = RunRecord.load(plain), RunRecord.load(looked)
    assert (before.declaration, after.declaration) == ("", MARK)
    for old, new in zip(before.rows, after.rows, strict=True):
        assert new["metrics"] == old["metrics"]
        selected = new["selected"]
        assert (
            new["overall"].pop("accuracy_single_head_selected")
            == (selected["accuracy_single_head"])
        )
        assert json.dumps(new["overall"]) == json.dumps(old["overall"])
        assert 1 <= selected["step"] <= 4
    text = markdown(comparison_tables(collect(tmp_path / "runs"))).replace("\\", "")
    assert f"| {MARK} |" in text and "real validation images of all classes seen" in text
    assert f"{name} (selection.every=1)" in text


def test_a_methods_own_declaration_comes_first(configure) -> None:
    record = RunRecord.load(train(configure("method=joint_classifier", "selection=paper")))
    assert record.declaration == f"keeps all real data, classifier only; {MARK}"


class Stop(Exception):
    """Stands for a crash."""


@pytest.mark.parametrize("where", [(0, 3), (1, 3)])
def test_the_best_step_survives_a_crash(configure, tmp_path, monkeypatch, where) -> None:
    """Without the best step of the checkpoint, the resumed run would know the last steps only."""
    scripted = {1: 0.2, 2: 0.9, 3: 0.5, 4: 0.6}
    monkeypatch.setattr(
        SelectByValidation, "_accuracy", lambda self, method, tasks: scripted[method.step]
    )
    overrides = ["selection=paper", "selection.every=1", "callbacks.checkpoint.every=2"]
    step = LifelongGAN.training_step

    def crash(self, *args):
        if (self.task_index, self.step) == where:
            raise Stop
        return step(self, *args)

    config = configure(*overrides, f"run_dir={tmp_path}/broken")
    with monkeypatch.context() as patch:
        patch.setattr(LifelongGAN, "training_step", crash)
        with pytest.raises(Stop):
            train(config)
    resumed = RunRecord.load(train(config))
    best = {"accuracy_single_head": 0.9, "step": 2, "validation_accuracy": 0.9}
    assert [row["selected"] for row in resumed.rows] == [best, best]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.splits.validation_fraction=0"], "data.splits.validation"),
        (["method=per_task"], "method=per_task"),
        (["selection.every=0"], "selection.every=0"),
    ],
)
def test_selection_is_refused_before_a_run_begins(configure, tmp_path, overrides, message) -> None:
    with pytest.raises(Exception, match=message) as caught:
        train(configure("selection=paper", *overrides))
    cause = caught.value if isinstance(caught.value, ConfigError) else caught.value.__cause__
    assert isinstance(cause, ConfigError)
    assert not list(tmp_path.rglob("config.yaml"))
