"""The router at borders: what it reads, what it keeps, and what it goes on from."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from lgan.callbacks.base import TaskContext, announce
from lgan.callbacks.router import TrainRouter
from lgan.data.photos import photos
from lgan.data.translation import TranslationDataModule
from lgan.errors import RunError
from lgan.files import load_tensors
from lgan.metrics.router import FILE, Router, features
from lgan.run.identity import fingerprint

STAMP = {"run": "a", "data": "b"}
SPLITS = partial(photos, size=16, train_pairs=12, test_pairs=6)
TASKS = 3


@pytest.fixture
def run(tmp_path):
    """Return what trains tasks of a run of photos, and gives the rows."""

    def trained(*tasks: int, paired: bool = True, begin: bool = True, folder=None, stamp=STAMP):
        data = TranslationDataModule(SPLITS, "photos", paired=paired, num_tasks=TASKS)
        callback, rows = TrainRouter(pictures=8), {}
        for task in tasks:
            with data.ledger.training(task):
                if begin:
                    data.open(task)
                method = SimpleNamespace(stamp=stamp, total_steps=0)
                context = TaskContext(method, data, task, folder or tmp_path)
                announce("on_task_end", [callback], context)
                rows[task] = context.row
        return rows, data.ledger.entries

    return trained


def test_it_learns_from_the_open_task_and_measures_all(run, tmp_path) -> None:
    rows, ledger = run(0, 1, 2)
    for task, row in rows.items():
        assert len(row["metrics"]) == task + 1
        for name in ("accuracy_router", "router_refused"):
            values = [entry[name] for entry in row["metrics"]]
            assert row["overall"][name] == pytest.approx(sum(values) / len(values))
        assert row["overall"]["accuracy_router"] > 1.5 / (task + 1) or task == 0
    for task, opened in ledger.items():
        trained = [entry for entry in opened if entry["split"] == "train"]
        assert trained == [{"by": "task", "split": "train", "tasks": [int(task)], "images": 12}]
        assert {entry["by"] for entry in opened if entry["split"] == "test"} <= {"evaluation"}
    # No more than `pictures` of them, spread over all; statistics, and no picture.
    kept = load_tensors(tmp_path / FILE)
    inputs = SPLITS().train.of_classes([1]).all()[:, :3]
    assert torch.equal(kept["means"][1], features(inputs[[0, 1, 3, 4, 6, 7, 9, 10]]).mean(0))
    assert kept["counts"].tolist() == [8, 8, 8]


@pytest.mark.parametrize("paired", [True, False])
def test_going_on_after_any_border_is_as_if_there_had_been_no_stop(run, tmp_path, paired) -> None:
    whole = run(0, 1, 2, paired=paired, folder=tmp_path / "whole")[0]
    run(0, 1, paired=paired)
    # Killed with task 1 in the router and not yet in a border file: it is trained again.
    assert run(1, 2, paired=paired)[0] == {task: whole[task] for task in (1, 2)}
    content, expected = (load_tensors(p / FILE) for p in (tmp_path, tmp_path / "whole"))
    assert all(torch.equal(content[key], expected[key]) for key in ("means", "limits"))


def test_old_borders_are_measured_again_without_training_pictures(run, tmp_path) -> None:
    rows, _ = run(0, 1, 2)
    before = (tmp_path / FILE).read_bytes()
    again, ledger = run(0, 1, 2, begin=False)
    assert again == rows
    assert (tmp_path / FILE).read_bytes() == before
    assert all(entry["split"] == "test" for opened in ledger.values() for entry in opened)


def test_what_is_lost_is_said_and_what_is_exchanged_refused(run, tmp_path, capsys) -> None:
    run(0, 1)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[:-100])
    assert run(2)[0] == {2: {"task": 2, "metrics": [{}, {}, {}]}}
    assert "router.pt is damaged, gone or lacks a task" in capsys.readouterr().err
    (tmp_path / FILE).write_bytes(whole)
    with pytest.raises(RunError, match="is of another run"):
        run(2, stamp={"run": "c", "data": "b"})
    assert run(0, stamp={"run": "a", "data": "b"})[0]  # begins anew, whatever was there
    assert len(Router.load(tmp_path / FILE, STAMP)) == 1


def test_classes_are_not_routed(tmp_path) -> None:
    data = SimpleNamespace(task_kind="classes")
    context = TaskContext(SimpleNamespace(), data, 0, tmp_path)
    TrainRouter().on_task_end(context)
    assert context.row == {"task": 0, "metrics": [{}]} and not list(tmp_path.iterdir())


def test_only_other_settings_of_it_name_a_run(configure) -> None:
    plain = fingerprint(configure("data=photos"))
    config = configure("data=photos")
    OmegaConf.set_struct(config, False)
    del config.callbacks["router"]
    assert fingerprint(config) == plain, "as runs were named before there was a router"
    for other in ("callbacks.router=null", "callbacks.router.quantile=0.9"):
        assert fingerprint(configure("data=photos", other)) != plain
