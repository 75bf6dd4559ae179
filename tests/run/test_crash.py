"""Damaged files: noticed, said aloud, and the one before is used."""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from pathlib import Path

import pytest
import torch

from lgan.errors import ConfigError, DamagedFileError, RunError
from lgan.files import FOOTER, load_tensors, save_tensors
from lgan.methods.base import LifelongGAN
from lgan.methods.ewc import EWCGAN
from lgan.reports.collect import collect
from lgan.reports.report import render
from lgan.run.borders import load_border
from lgan.run.record import RunRecord
from lgan.training.runner import SequenceRunner
from lgan.training.train import train

pytestmark = pytest.mark.slow

FAST = ["callbacks.evaluation=null", "callbacks.checkpoint.every=1"]


class Stop(Exception):
    """Stands for a crash."""


def flip(path: Path, place: int | None = None) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if place is None else place] ^= 1
    path.write_bytes(content)


def crash_at(monkeypatch, config, task: int, step: int) -> None:
    """Train until a step of a task is about to be taken."""
    take = LifelongGAN.training_step

    def crash(self, *args):
        if (self.task_index, self.step) == (task, step):
            raise Stop
        return take(self, *args)

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(LifelongGAN, "training_step", crash)
        train(config)


def assert_same_end(expected: Path, found: Path) -> None:
    states = [load_border(folder / "checkpoints/task1.pt")["state"] for folder in (expected, found)]
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key
    pictures = [load_tensors(folder / "samples/task1.pt")["images"] for folder in (expected, found)]
    assert torch.equal(*pictures)


def test_any_flipped_bit_and_any_truncation_is_noticed(tmp_path) -> None:
    path = tmp_path / "x.pt"
    save_tensors(path, {"a": torch.arange(50.0)})
    whole = path.read_bytes()
    assert torch.equal(torch.load(path, weights_only=True)["a"], torch.arange(50.0))
    for place in (0, 100, len(whole) // 2, len(whole) - FOOTER, len(whole) - 1):
        flip(path, place)
        with pytest.raises(DamagedFileError, match=r"x\.pt"):
            load_tensors(path)
        path.write_bytes(whole)
    for length in (0, 1, 100, len(whole) - FOOTER - 1, len(whole) - 30, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedFileError, match=r"x\.pt"):
            load_tensors(path)


def test_a_file_without_a_footer_is_accepted_and_other_files_are_not(tmp_path) -> None:
    torch.save({"a": 1}, tmp_path / "old.pt")
    assert load_tensors(tmp_path / "old.pt") == {"a": 1}
    (tmp_path / "text.pt").write_text("no tensors at all")
    with pytest.raises(DamagedFileError, match=r"text\.pt"):
        load_tensors(tmp_path / "text.pt")


@pytest.mark.parametrize("damaged", [("last",), ("last", "previous")])
def test_the_checkpoint_before_a_damaged_one_is_used(
    configure, tmp_path, monkeypatch, capsys, damaged
) -> None:
    expected = train(configure(*FAST, f"run_dir={tmp_path}/whole"))
    config = configure(*FAST, f"run_dir={tmp_path}/broken")
    crash_at(monkeypatch, config, task=1, step=3)
    folder = tmp_path / "broken/checkpoints"
    assert [load_tensors(folder / f"{n}.ckpt")["lgan"]["step"] for n in ("last", "previous")] == [
        3, 2,
    ]  # fmt: skip
    for name in damaged:
        flip(folder / f"{name}.ckpt")
    begun: list[tuple[int, int]] = []
    take = LifelongGAN.training_step

    def spy(self, *args):
        begun.append((self.task_index, self.step))
        return take(self, *args)

    monkeypatch.setattr(LifelongGAN, "training_step", spy)
    resumed = train(config)
    assert begun[0] == (1, 2 if damaged == ("last",) else 0)
    assert_same_end(expected, resumed)
    said = capsys.readouterr().err
    for name in damaged:
        assert f"{name}.ckpt is damaged" in said and (folder / f"{name}.ckpt.damaged").exists()
    assert len(RunRecord.load(resumed).events) == len(damaged)
    assert not (folder / "last.ckpt").exists() and not (folder / "previous.ckpt").exists()


def test_a_task_whose_border_is_damaged_is_trained_again(
    configure, tmp_path, monkeypatch, capsys
) -> None:
    expected = train(configure(*FAST, "method=mergan_jtr", f"run_dir={tmp_path}/whole"))
    config = configure(*FAST, "method=mergan_jtr", f"run_dir={tmp_path}/broken")
    folder = train(config)
    record = RunRecord.load(folder)
    record.status = "running"
    record.save(folder)
    flip(folder / "checkpoints/task1.pt")
    train(config)
    assert_same_end(expected, folder)
    assert "task1.pt is damaged" in capsys.readouterr().err
    assert (folder / "checkpoints/task1.pt.damaged").exists()
    record = RunRecord.load(folder)
    assert record.complete and "task 1 is trained again" in record.events[0]


def test_all_borders_damaged_begins_anew(configure, tmp_path) -> None:
    config = configure(*FAST, f"run_dir={tmp_path}/x")
    folder = train(config)
    record = RunRecord.load(folder)
    record.status = "running"
    record.save(folder)
    expected = load_border(folder / "checkpoints/task1.pt")["state"]
    for task in (0, 1):
        (folder / f"checkpoints/task{task}.pt").write_bytes(b"")
    found = load_border(train(config) / "checkpoints/task1.pt")["state"]
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert len(RunRecord.load(folder).events) == 2


def test_a_damaged_record_says_what_to_do_and_nothing_is_overwritten(configure, tmp_path) -> None:
    config = configure(*FAST, f"run_dir={tmp_path}/x")
    folder = train(config)
    (folder / "results.json").write_text('{"data": "dig')
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match=r"results.json is damaged.*restore it.*run_dir"):
        train(config)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_kill_during_evaluation_repeats_no_step(configure, tmp_path, monkeypatch) -> None:
    """Also with the default interval, which is longer than the task."""
    overrides = ["method=ewc_gan", "method.fisher_samples=8", "callbacks.losses.every=1"]
    expected = train(configure(*overrides, f"run_dir={tmp_path}/whole"))
    config = configure(*overrides, f"run_dir={tmp_path}/broken")

    def crash(self, task):
        raise Stop

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(EWCGAN, "end_task", crash)
        train(config)

    take = LifelongGAN.training_step

    def not_again(self, *args):
        assert self.task_index == 1, "a step was taken again"
        return take(self, *args)

    monkeypatch.setattr(LifelongGAN, "training_step", not_again)
    resumed = train(config)
    assert_same_end(expected, resumed)
    logs = [sorted((folder / "metrics.csv").read_text().split()) for folder in (expected, resumed)]
    assert logs[0] == logs[1]


def test_a_kill_between_the_last_border_and_the_last_word(configure, tmp_path, monkeypatch) -> None:
    config = configure(*FAST, f"run_dir={tmp_path}/x")
    save = SequenceRunner._save

    def crash_after(self, task, context):
        save(self, task, context)
        if task == 1:
            raise Stop

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(SequenceRunner, "_save", crash_after)
        train(config)
    assert RunRecord.load(train(config)).complete


@pytest.mark.parametrize("name", ["last.ckpt", "previous.ckpt", "task0.pt"])
def test_code_in_a_checkpoint_is_refused_and_not_taken_for_damage(
    configure, tmp_path, monkeypatch, name
) -> None:
    config = configure(*FAST, f"run_dir={tmp_path}/x")
    crash_at(monkeypatch, config, task=1, step=2)
    touched = tmp_path / "touched"

    class Evil:
        def __reduce__(self):
            return (Path.touch, (touched,))

    checkpoints = tmp_path / "x/checkpoints"
    if name == "previous.ckpt":
        (checkpoints / "last.ckpt").unlink()
    save_tensors(checkpoints / name, {"lgan": Evil(), "state": Evil()})
    with pytest.raises(RunError, match="cannot be loaded safely"):
        train(config)
    assert not touched.exists() and (checkpoints / name).exists()


def test_method_and_data_from_outside_are_escaped_in_the_report(configure, tmp_path) -> None:
    folder = train(configure(f"run_dir={tmp_path}/run")).rename(tmp_path / "<b>run")
    path, script = folder / "results.json", "<script>alert(1)</script>"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"method": script, "data": script}))
    page = render(collect(tmp_path))
    assert "&lt;script&gt;" in page
    assert script not in page and "<b>run" not in page


def test_what_a_step_computed_is_logged_and_no_more_also_after_a_resume(
    configure, tmp_path, monkeypatch
) -> None:
    """Of DGM's last steps the critic takes none: 5 of 8 are before the classifier settles."""
    own = ["method=dgm_w", "method.settle=0.4", "training.steps=8", "data.num_tasks=1",
           "callbacks.losses.every=1", *FAST]  # fmt: skip
    expected = train(configure(*own, f"run_dir={tmp_path}/whole"))
    broken = configure(*own, f"run_dir={tmp_path}/broken")
    crash_at(monkeypatch, broken, 0, 6)
    logs = [(folder / "metrics.csv").read_text() for folder in (expected, train(broken))]
    losses = [[line for line in log.splitlines() if "loss/" in line] for log in logs]
    assert losses[0] == losses[1]
    steps = {name: [int(line.split(",")[0]) for line in losses[0] if name in line]
             for name in ("classifier", "discriminator", "generator")}  # fmt: skip
    assert steps["classifier"] == list(range(1, 9))
    assert steps["discriminator"] == steps["generator"] == [1, 2, 3, 4, 5]


def test_checkpoints_pass_through_no_other_folder(configure, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("mkstemp", "NamedTemporaryFile", "TemporaryDirectory", "mkdtemp"):
        monkeypatch.setattr(tempfile, name, full)
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    assert RunRecord.load(train(configure(*FAST))).complete


@pytest.mark.parametrize("status", ["running", "complete"])
def test_a_checkpoint_left_behind_a_last_border_goes(configure, status) -> None:
    """Killed between a run's last border and its clean-up, or by an lgan that never cleaned up."""
    folder = train(configure(*FAST))
    for name in ("last.ckpt", "previous.ckpt", "last.ckpt.tmp"):
        shutil.copy(folder / "checkpoints/task1.pt", folder / "checkpoints" / name)
    content = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps(content | {"status": status}))
    train(configure(*FAST))
    assert sorted(p.name for p in folder.glob("checkpoints/*.*")) == ["task0.pt", "task1.pt"]


def test_a_refused_run_leaves_no_folder(configure, tmp_path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise RunError("could not write")

    monkeypatch.setattr("lgan.run.folder.write_json", full)
    with pytest.raises(RunError, match="could not write"):
        train(configure(*FAST, f"run_dir={tmp_path}/runs/new"))
    assert not (tmp_path / "runs/new").exists()


def test_a_file_where_the_run_should_go_is_refused_in_a_sentence(configure, tmp_path) -> None:
    (tmp_path / "taken").write_text("mine")
    for place in ("taken", "taken/below"):
        with pytest.raises(RunError, match="could not write .*taken.*choose another folder"):
            train(configure(*FAST, f"run_dir={tmp_path}/{place}"))
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_trainer_that_is_refused_leaves_no_folder(configure, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.devices=2"):
        train(configure(*FAST, "trainer.devices=2", f"run_dir={tmp_path}/runs/new"))
    assert not (tmp_path / "runs").exists()
