"""A run is what is built from its config and the pictures it is shown; its files say so."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import warm
from omegaconf import DictConfig
from PIL import Image

from lgan.errors import LganError, RunError
from lgan.files import load_tensors, save_tensors
from lgan.inference.load import load_run
from lgan.methods.base import LifelongGAN
from lgan.reports.collect import collect
from lgan.run.borders import load_border
from lgan.run.identity import fingerprint, identity
from lgan.run.record import RunRecord
from lgan.training.train import train

QUICK = ["training.steps=3", "data.num_tasks=2", "callbacks.evaluation=null", "trainer=cpu",
         "callbacks.samples.per_class=2", "callbacks.progress=null"]  # fmt: skip
OWN = ["data=image_folder", "network=digits", "data.splits.size=8", "data.splits.channels=1",
       "data.splits.validation_fraction=0", "training.batch_size=4", *QUICK]  # fmt: skip


def pictures(root: Path, classes: str = "ab", seed: int = 0, count: int = 8) -> Path:
    """Make a folder of random pictures, other ones for another seed."""
    random = np.random.default_rng(seed)
    for name in classes:
        folder = root / "train" / name
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = random.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


@pytest.fixture
def own(configure, tmp_path) -> Callable[..., DictConfig]:
    """Return a composer of runs on an own folder below tmp_path."""
    return lambda root, *more: configure(*OWN, f"data.root={tmp_path / root}", *more)


def stopped(folder: Path) -> None:
    """Make a complete run look like one that was stopped."""
    record = RunRecord.load(folder)
    record.status = "running"
    record.save(folder)


def break_off(monkeypatch, config: DictConfig, task: int, step: int) -> Path:
    """Train up to a step, as if the process had died there."""

    def crash(self, *args):
        if (self.task_index, self.step) == (task, step):
            raise KeyError("died")
        return take(self, *args)

    take = LifelongGAN.training_step
    with monkeypatch.context() as patch:
        patch.setattr(LifelongGAN, "training_step", crash)
        with pytest.raises(KeyError):
            train(config)
    return Path(config.run_dir)


# Which runs are the same.


def test_another_folder_is_another_run_and_a_copy_is_the_same(own, tmp_path, capsys) -> None:
    pictures(tmp_path / "a")
    pictures(tmp_path / "b", seed=1)
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    first, second = train(own("a")), train(own("b"))
    assert first != second and "complete already" not in capsys.readouterr().out
    assert train(own("copy")) == first
    assert "complete already" in capsys.readouterr().out
    content = [RunRecord.load(folder).content for folder in (first, second)]
    assert content[0]["digest"] != content[1]["digest"]
    counts = {key: content[0]["classes"]["a"][key] for key in ("train", "validation", "test")}
    assert counts == {"train": 6, "validation": 0, "test": 2}


def test_memory_and_precision(own, configure, tmp_path) -> None:
    pictures(tmp_path / "a")
    names = {own("a", f"data.in_memory={held}").run_name for held in ("true", "false", "auto")}
    assert len(names) == 1
    plain = configure()
    assert configure("trainer.precision=bf16-mixed").run_name != plain.run_name


@pytest.mark.parametrize(
    ("same", "override"),
    [
        (True, "training.class_weight=5"),  # which an objective without classes does not read
        (True, "callbacks.checkpoint.every=7"),
        (True, "logger=tensorboard"),
        (True, "keep=last"),
        (True, "+callbacks.watch_mine={_target_: my.Monitor}"),
        (False, "+callbacks.mine={_target_: my.Callback}"),
        (False, "method=ewc_gan"),
        (False, "callbacks.samples.seed=4"),
        (False, "callbacks.evaluation=null"),
        (False, "evaluation.samples_per_class=9"),
        (False, "training.betas=[0.5,0.9]"),
        (False, "optimizer.lr=0.1"),
    ],
)
def test_a_run_is_named_after_what_is_built(configure, same, override) -> None:
    unread = ["objective.class_weight=1"] if "class_weight" in override else []
    assert (configure(*unread, override).run_name == configure(*unread).run_name) is same


def test_equal_values_by_other_keys_are_the_same_run(configure) -> None:
    by_name, by_place = configure("training.learning_rate=0.1"), configure("optimizer.lr=0.1")
    assert by_name.run_name == by_place.run_name != configure().run_name


def test_the_place_of_a_run_counts_for_nothing(configure, tmp_path) -> None:
    plain, moved = configure(), configure(f"run_dir={tmp_path}/x")
    assert fingerprint(plain) == fingerprint(moved)
    extra = [f"+callbacks.own={{_target_: my.Callback, folder: {'${run_dir}'}/own}}"]
    own = configure(*extra)
    there = configure(*extra, f"run_dir={tmp_path}/x")
    assert identity(own)["callbacks.own.folder"] == "<run>/own"
    assert fingerprint(own) == fingerprint(there) != fingerprint(plain)


def test_what_lies_in_own_folders_counts_and_not_where(configure) -> None:
    def told(root: str, name: str = "maps") -> dict:
        folder = {"root": root, "fetch": "from", "name": name}
        return identity({"data": {"root": root, "splits": {"folders": [folder]}}})

    assert told("/a") == told("/b") == {"data.splits.folders": [{"name": "maps"}]}
    assert told("/a", "streets") != told("/a")
    assert configure("data.root=/a").run_name == configure().run_name, "digits bring their own"


def test_a_sweep_over_folders_trains_each(tmp_path, cache) -> None:
    roots = [pictures(tmp_path / name, seed=seed) for seed, name in enumerate(("d1", "d2"))]
    args = [*OWN, f"data.root={roots[0]},{roots[1]}", f"paths.cache={cache}", "paths.runs=out"]
    command = [warm.python(), "-m", "lgan.cli.train", "-m", *args]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    records = [RunRecord.load(path.parent) for path in (tmp_path / "out").glob("*/results.json")]
    assert len(records) == 2 and all(record.complete for record in records)
    assert len({record.content["digest"] for record in records}) == 2


# What goes on only with its own.


@pytest.mark.slow
def test_changed_pictures_in_the_same_folder_are_refused(own, tmp_path) -> None:
    pictures(tmp_path / "a")
    folder = train(own("a"))
    kept = (folder / "results.json").read_bytes()
    pictures(tmp_path / "a", classes="b", seed=7)
    with pytest.raises(RunError, match="pictures of class b are others"):
        train(own("a"))
    with pytest.raises(RunError, match="pictures of class b are others"):
        train(own("a", f"run_dir={folder}"))
    pictures(tmp_path / "a", classes="b", seed=7, count=12)
    with pytest.raises(RunError, match=r"class b has other numbers of pictures \(10 for 6 in tra"):
        train(own("a"))
    assert (folder / "results.json").read_bytes() == kept
    assert [path.name for path in folder.parent.iterdir() if path.name != "a"] == [folder.name]
    assert train(own("a", f"run_dir={tmp_path}/new")).name == "new"


@pytest.mark.parametrize(
    ("now", "message"),
    [("abc", "class c was added"), ("xy", "class a is gone; class b")],
)
def test_classes_that_come_or_go_between_stop_and_resume(
    own, tmp_path, monkeypatch, now, message
) -> None:
    pictures(tmp_path / "a")
    run = f"run_dir={tmp_path}/run"
    break_off(monkeypatch, own("a", run), task=1, step=1)
    shutil.rmtree(tmp_path / "a")
    pictures(tmp_path / "a", classes=now)
    with pytest.raises(LganError, match=message):
        train(own("a", run))
    assert RunRecord.load(tmp_path / "run").tasks[0]["class_names"] == ["a"]


@pytest.mark.slow
def test_another_first_network_is_refused(configure, tmp_path) -> None:
    folder = train(configure(*QUICK, f"run_dir={tmp_path}/first"))
    state = load_run(folder)[0].generator.state_dict()
    torch.save(state, tmp_path / "netG.pth")
    started = configure(*QUICK, f"method.init_from={tmp_path}/netG.pth")
    train(started)
    state[next(iter(state))].add_(1)
    torch.save(state, tmp_path / "netG.pth")
    with pytest.raises(RunError, match=r"method.init_from holds another network"):
        train(started)


# Files of a run that are not its own.


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Return a folder of runs by seed, each of which is trained when it is first asked for."""
    return tmp_path_factory.mktemp("trained")


@pytest.fixture
def whole(configure, tmp_path, trained) -> Path:
    folder = run_of(0, trained, configure, tmp_path / "run")
    stopped(folder)
    return folder


@pytest.fixture
def other(configure, tmp_path, trained) -> Path:
    return run_of(1, trained, configure, tmp_path / "other")


def run_of(seed: int, trained: Path, configure, to: Path) -> Path:
    if not (trained / f"{seed}").exists():
        train(configure(*QUICK, f"seed={seed}", f"run_dir={trained}/{seed}"))
    return Path(shutil.copytree(trained / f"{seed}", to))


def again(configure, folder: Path) -> Path:
    return train(configure(*QUICK, f"run_dir={folder}"))


def test_borders_that_were_exchanged_are_refused(configure, whole, other, tmp_path) -> None:
    border, kept = whole / "checkpoints/task1.pt", tmp_path / "kept.pt"
    shutil.copy(border, kept)
    for source, message in (
        (whole / "checkpoints/task0.pt", "should be the border of task 1 and is of task 0"),
        (other / "checkpoints/task1.pt", "is of another run"),
    ):
        shutil.copy(source, border)
        with pytest.raises(RunError, match=message):
            again(configure, whole)
        with pytest.raises(RunError, match=message):
            load_run(whole, after=1)
    content = load_tensors(kept)
    save_tensors(border, content | {"stamp": content["stamp"] | {"content": "0" * 8}})
    with pytest.raises(RunError, match="is of a run on other data"):
        again(configure, whole)


def lose(state: dict) -> dict:
    return dict(list(state.items())[1:])


def widen(state: dict) -> dict:
    name = next(key for key, value in state.items() if value.ndim > 1)
    return state | {name: torch.cat([state[name], state[name]])}


@pytest.mark.parametrize("spoil", [lose, widen, lambda state: {}, lambda state: 5])
def test_a_border_that_does_not_fit_ends_in_a_sentence(configure, whole, spoil) -> None:
    border = whole / "checkpoints/task1.pt"
    content = load_border(border)
    save_tensors(border, content | {"state": spoil(content["state"])})
    for use in (lambda: again(configure, whole), lambda: load_run(whole)):
        with pytest.raises(RunError, match=r"task1.pt.* does not fit method=sft"):
            use()
    save_tensors(border, {key: value for key, value in content.items() if key != "num_classes"})
    with pytest.raises(RunError, match="lacks num_classes"):
        load_run(whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": 1_000_000}, "cannot be where a task has 3 steps"),
        ({"step": -1}, "cannot be"),
        ({"step": "two"}, "cannot be"),
        ({"stamp": {"run": "0", "content": "0"}}, "is of another run"),
    ],
)
def test_a_checkpoint_of_elsewhere_is_refused(
    configure, tmp_path, trained, monkeypatch, change, message
) -> None:
    every = [*QUICK, "callbacks.checkpoint.every=1"]
    if not (trained / "broken").exists():
        broken = configure(*every, f"run_dir={trained}/broken")
        break_off(monkeypatch, broken, task=1, step=2)
    folder = Path(shutil.copytree(trained / "broken", tmp_path / "run"))
    config = configure(*every, f"run_dir={folder}")
    last = folder / "checkpoints/last.ckpt"
    content = load_tensors(last)
    save_tensors(last, content | {"lgan": content["lgan"] | change})
    with pytest.raises(RunError, match=message):
        train(config)
    save_tensors(last, content)
    assert RunRecord.load(train(config)).complete


def test_a_record_of_another_run_is_refused(configure, whole, other, tmp_path) -> None:
    shutil.copy(other / "results.json", whole / "results.json")
    for use in (lambda: again(configure, whole), lambda: load_run(whole)):
        with pytest.raises(RunError, match=r"not of the same run .*seed: 1 -> 0"):
            use()
    (warning,) = [text for text in collect(tmp_path).warnings if "left out" in text]
    assert "results.json and config.yaml are not of the same run" in warning


def test_an_old_border_that_is_gone_costs_nothing(configure, whole, monkeypatch) -> None:
    rows = RunRecord.load(whole).rows
    (whole / "checkpoints/task0.pt").unlink()
    monkeypatch.setattr(LifelongGAN, "training_step", lambda *_: pytest.fail("trained again"))
    again(configure, whole)
    record = RunRecord.load(whole)
    assert record.complete and record.rows == rows


def test_borders_that_are_all_gone_are_not_trained_again_in_silence(configure, whole) -> None:
    for path in (whole / "checkpoints").glob("task*.pt"):
        path.unlink()
    with pytest.raises(RunError, match=r"borders of 0 finished tasks but results.json has 2 rows"):
        again(configure, whole)


def test_samples_say_whose_they_are(configure, whole, other, tmp_path) -> None:
    stamp = RunRecord.load(whole).stamp
    for path in (whole / "samples").glob("*.pt"):
        assert load_tensors(path)["stamp"] == stamp, path
    (whole / "checkpoints/task1.pt").unlink()
    shutil.copy(other / "samples/learnt0.pt", whole / "samples/learnt0.pt")
    with pytest.raises(RunError, match=r"learnt0.pt is of another run"):
        again(configure, whole)


# Runs of an older lgan.


def test_older_runs_go_on_with_a_warning(configure, whole, capsys) -> None:
    path = whole / "results.json"
    content = json.loads(path.read_text())
    path.write_text(
        json.dumps({k: v for k, v in content.items() if k not in ("identity", "content")})
    )
    for file in [*(whole / "checkpoints").glob("*.pt"), *(whole / "samples").glob("*.pt")]:
        save_tensors(file, {k: v for k, v in load_tensors(file).items() if k != "stamp"})
    again(configure, whole)
    assert "did not record what its data are" in capsys.readouterr().err
    assert load_run(whole)[1]["task"] == 1


# Tables.


@pytest.mark.slow
def test_tables_average_over_the_same_pictures_only(own, tmp_path) -> None:
    pictures(tmp_path / "a")
    pictures(tmp_path / "b", seed=1)
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    for root, seed, held in (("a", 0, "true"), ("copy", 1, "false"), ("b", 1, "true")):
        train(own(root, f"seed={seed}", f"data.in_memory={held}", f"paths.runs={tmp_path}/runs"))
    found = collect(tmp_path / "runs")
    assert sorted(len(group.runs) for group in found.groups) == [1, 2]
    assert all("data.content=" in group.label for group in found.groups) and not found.warnings
