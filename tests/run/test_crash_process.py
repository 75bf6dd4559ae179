"""Signals, locks, rewinding, and what a run depends on going away."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
import warm

from lgan.errors import ConfigError, DataError, RunError, TrainingDivergedError
from lgan.files import load_tensors
from lgan.methods.base import LifelongGAN
from lgan.run.borders import load_border
from lgan.run.record import RunRecord
from lgan.run.signals import ECHO
from lgan.training.train import train

pytestmark = pytest.mark.slow

FAST = ["callbacks.evaluation=null"]
CHILD = Path(__file__).parents[1] / "helpers/crash_child.py"


class Stop(Exception):
    """Stands for a crash."""


class Child:
    """A run in another process that has reached step 2 of its second task."""

    def __init__(self, configure, tmp_path: Path, how: str, *overrides: str) -> None:
        self.folder, self.flag = tmp_path / "run", tmp_path / "flag"
        self.config = configure(*FAST, *overrides, f"run_dir={self.folder}")
        places = [f"paths.cache={self.config.paths.cache}", f"run_dir={self.folder}"]
        short = ["training.steps=4", "data.num_tasks=2", "evaluation=fast", "trainer=cpu"]
        short += ["callbacks.samples.per_class=2", "callbacks.progress=null"]
        command = [warm.python(), str(CHILD), str(self.flag), how, *short, *FAST, *overrides]
        self.process = subprocess.Popen(
            [*command, *places], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        while not self.flag.exists():
            assert self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.02)

    def go_on(self) -> None:
        """Let the step end."""
        self.flag.with_name("flag.go").touch()

    def end(self) -> tuple[int, str]:
        """Return the exit code and what was said on stderr."""
        said = self.process.communicate(timeout=100)[1]
        return self.process.returncode, said


def state(folder: Path) -> dict[str, torch.Tensor]:
    return load_border(folder / "checkpoints/task1.pt")["state"]


def assert_same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        assert torch.equal(value, b[key]), key


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_a_signal_ends_the_step_writes_a_checkpoint_and_leaves(configure, tmp_path, signum) -> None:
    child = Child(configure, tmp_path, "wait")
    child.process.send_signal(signum)
    child.process.send_signal(signum)  # a terminal and a launcher both send one
    time.sleep(0.1)
    child.go_on()
    code, said = child.end()
    assert code == 128 + signum, said
    assert f"stopped by {signum.name} at task 1, step 2" in said and "Traceback" not in said
    assert load_tensors(child.folder / "checkpoints/last.ckpt")["lgan"]["step"] == 2
    record = RunRecord.load(child.folder)
    assert record.status == "stopped" and not record.complete
    assert_same(state(train(configure(*FAST))), state(train(child.config)))
    assert RunRecord.load(child.folder).complete


def test_a_second_signal_leaves_at_once(configure, tmp_path) -> None:
    child = Child(configure, tmp_path, "wait")
    child.process.send_signal(signal.SIGTERM)
    time.sleep(ECHO + 0.5)
    child.process.send_signal(signal.SIGTERM)  # the step never ends
    code, said = child.end()
    assert code == 128 + signal.SIGTERM and "without a checkpoint" in said
    assert (child.folder / "checkpoints/task0.pt").exists()
    assert not (child.folder / "checkpoints/last.ckpt").exists()


def test_outside_of_training_a_signal_leaves_at_once(configure, tmp_path, monkeypatch) -> None:
    config = configure(*FAST, f"run_dir={tmp_path}/x")
    before = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]

    def during(self, task):
        os.kill(os.getpid(), signal.SIGUSR1)
        raise AssertionError("went on")

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as caught:
        patch.setattr(LifelongGAN, "end_task", during)
        train(config)
    assert caught.value.code == 128 + signal.SIGUSR1
    assert RunRecord.load(tmp_path / "x").status == "stopped"
    assert [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)] == before
    assert RunRecord.load(train(config)).complete


def test_a_second_process_is_refused_and_touches_nothing(configure, tmp_path) -> None:
    child = Child(configure, tmp_path, "wait")
    files = [path for path in child.folder.rglob("*") if path.is_file()]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
    with pytest.raises(RunError, match=f"being trained by process {child.process.pid} on .*since"):
        train(child.config)
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
    child.process.kill()
    child.end()
    assert RunRecord.load(train(child.config)).complete, "the dead process still held the lock"


def test_a_lock_without_a_name_is_respected(configure, tmp_path) -> None:
    (tmp_path / "x").mkdir()
    with (tmp_path / "x/.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="being trained by another process"):
            train(configure(f"run_dir={tmp_path}/x"))
    assert [path.name for path in (tmp_path / "x").iterdir()] == [".lock"]


@pytest.mark.parametrize(("how", "reason"), [("full", "File too large"), ("read-only", "denied")])
def test_a_disk_that_takes_nothing_more_leaves_the_former_checkpoint(
    configure, tmp_path, how, reason
) -> None:
    child = Child(configure, tmp_path, how, "callbacks.checkpoint.every=1")
    code, said = child.end()
    assert code == 1 and "Traceback" not in said
    assert "error: could not write" in said and reason in said
    for folder in (child.folder, child.folder / "checkpoints"):
        folder.chmod(0o755)
    assert load_tensors(child.folder / "checkpoints/last.ckpt")["lgan"]["step"] == 1
    assert_same(state(train(configure(*FAST))), state(train(child.config)))


def poison(monkeypatch, task: int, step: int, times: int) -> None:
    """Make a weight NaN after a step, as often as it is taken, `times` in all."""
    take, left = LifelongGAN.training_step, [times]

    def poisoned(self, *args):
        take(self, *args)
        if (self.task_index, self.step) == (task, step) and left[0]:
            left[0] -= 1
            next(self.generator.parameters()).data.view(-1)[0] = float("nan")

    monkeypatch.setattr(LifelongGAN, "training_step", poisoned)


REWIND = ["on_nan=rewind", "callbacks.checkpoint.every=2", "callbacks.guard.every=1", *FAST]


def test_rewinding_is_exact_also_when_killed_after_it(configure, tmp_path, monkeypatch) -> None:
    overrides = ["method=mergan_jtr", *REWIND]
    plain = train(configure("method=mergan_jtr", *FAST, f"run_dir={tmp_path}/plain"))
    whole = configure(*overrides, f"run_dir={tmp_path}/whole")
    broken = configure(*overrides, f"run_dir={tmp_path}/broken")
    assert whole.run_name == configure("method=mergan_jtr", *FAST).run_name
    with monkeypatch.context() as patch:
        poison(patch, 1, 3, times=1)
        train(whole)
    record = RunRecord.load(tmp_path / "whole")
    [rewind] = record.rewinds
    assert (rewind["task"], rewind["from_step"]) == (1, 2) and rewind["at_step"] in (3, 4)
    assert record.complete and "is nan at task 1" in rewind["reason"]
    end = state(tmp_path / "whole")
    assert all(torch.isfinite(value).all() for value in end.values())
    assert not torch.equal(end["generator.body.0.weight"], state(plain)["generator.body.0.weight"])
    first = [load_border(f / "checkpoints/task0.pt")["state"] for f in (plain, tmp_path / "whole")]
    assert_same(*first)

    with monkeypatch.context() as patch:
        poison(patch, 1, 3, times=1)
        poisoned = LifelongGAN.training_step

        def crash(self, *args):
            if self.step == 3 and self.rewinds.count(1):
                raise Stop
            return poisoned(self, *args)

        patch.setattr(LifelongGAN, "training_step", crash)
        with pytest.raises(Stop):
            train(broken)
    # The rate's factor of a rewind stands in the record: another one from now on changes nothing.
    broken.nan_rate_factor = 0.9
    assert_same(end, state(train(broken)))


def test_retries_come_to_an_end_and_each_is_another_one(configure, tmp_path, monkeypatch) -> None:
    config = configure(*REWIND, "nan_retries=2", f"run_dir={tmp_path}/x")
    rates: list[float] = []
    poison(monkeypatch, 0, 1, times=99)
    take = LifelongGAN.training_step

    def look(self, *args):
        take(self, *args)
        rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])

    monkeypatch.setattr(LifelongGAN, "training_step", look)
    with pytest.raises(TrainingDivergedError, match="task 0"):
        train(config)
    record = RunRecord.load(tmp_path / "x")
    assert record.status == "failed"
    assert [rewind["from_step"] for rewind in record.rewinds] == [0, 0], (
        "there is no checkpoint yet"
    )
    assert {round(rate / rates[0], 6) for rate in rates} == {1.0, 0.5, 0.25}


@pytest.mark.parametrize("bad", ["on_nan=go_on", "nan_retries=-1", "nan_rate_factor=0"])
def test_senseless_rewinding_is_refused(configure, bad) -> None:
    with pytest.raises(ConfigError, match=bad.split("=")[0]):
        train(configure(bad))


def test_data_that_go_away_are_one_sentence_and_nothing_is_lost(
    configure, tmp_path, monkeypatch
) -> None:
    from PIL import Image

    root, kept = tmp_path / "data", tmp_path / "kept"
    for split, name, number in [
        (s, c, n) for s in ("train", "test") for c in "ab" for n in range(8)
    ]:
        folder = root / split / name
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (number * 20, 80, 99)).save(folder / f"{number}.png")
    overrides = ["data=image_folder", f"data.root={root}", "data.in_memory=false", *FAST]
    overrides += ["training.batch_size=4", "callbacks.checkpoint.every=1", "training.steps=3"]
    expected = train(configure(*overrides, f"run_dir={tmp_path}/whole"))
    config = configure(*overrides, f"run_dir={tmp_path}/broken")
    take = LifelongGAN.training_step

    def delete(self, *args):
        take(self, *args)
        if (self.task_index, self.step) == (1, 1):
            shutil.move(root, kept)

    with monkeypatch.context() as patch, pytest.raises(DataError, match=r"\.png"):
        patch.setattr(LifelongGAN, "training_step", delete)
        train(config)
    shutil.move(kept, root)
    assert load_tensors(tmp_path / "broken/checkpoints/last.ckpt")["lgan"]["step"] == 1
    assert_same(state(expected), state(train(config)))


def test_wandb_without_its_server_goes_offline(configure, monkeypatch, capsys) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    for name in (
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    folder = train(configure("logger=wandb", "logger.offline=false", *FAST))
    assert "http://127.0.0.1:9 cannot be reached" in capsys.readouterr().err
    assert RunRecord.load(folder).complete
    assert list((folder / "wandb").glob("offline-run-*/*.wandb"))
