"""Whole runs on the digits: files, resuming, determinism, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from lgan.data.images import to_uint8
from lgan.errors import ConfigError, RunError, TrainingDivergedError
from lgan.files import load_tensors
from lgan.inference.load import load_run
from lgan.inference.sample import draw, folders_of, sample_classes, save_images
from lgan.methods.base import LifelongGAN
from lgan.run.borders import load_border
from lgan.run.record import RunRecord
from lgan.training.runner import SequenceRunner
from lgan.training.train import train

pytestmark = pytest.mark.slow

METHODS = [
    "sft",
    "joint",
    "per_task",
    "ewc_gan",
    "dgr",
    "mergan_jtr",
    "mergan_ra",
    "dgm_w",
    "dgm_a",
]


def final_state(folder, task: int = 1) -> dict:
    return load_border(folder / "checkpoints" / f"task{task}.pt")["state"]


def assert_same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for key in a:
        assert torch.equal(a[key], b[key]), key


@pytest.mark.parametrize("method", METHODS)
def test_a_run_leaves_what_it_promises(configure, method) -> None:
    folder = train(configure(f"method={method}", "method.fisher_samples=8") if method == "ewc_gan"
                   else configure(f"method={method}"))  # fmt: skip
    record = RunRecord.load(folder)
    assert record.complete and record.method == method
    assert [len(row["metrics"]) for row in record.rows] == [1, 2]
    row = record.rows[1]
    assert 0 <= row["overall"]["accuracy_generated"] <= 1
    assert row["parameters"]["stored"] > 0 and len(row["retention"]) == 2
    assert record.references["classifier_test_accuracy"] > 0.1
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert {"config.yaml", "environment.json", "metrics.csv", "task0.pt", "task1.png"} <= names
    assert not list(folder.rglob("*.tmp"))
    versions = json.loads((folder / "environment.json").read_text())["packages"]
    assert versions["torch"]


@pytest.mark.parametrize("preset", ["code", "paper"])
@pytest.mark.parametrize("objective", ["acgan_hinge", "acgan_lsgan", "acgan_bce"])
def test_presets_and_objectives_compose_and_run(configure, preset, objective) -> None:
    overrides = ["method=mergan_ra", f"preset={preset}", f"objective={objective}"]
    record = RunRecord.load(train(configure(*overrides, "callbacks.evaluation=null")))
    assert record.complete and record.preset == preset


def test_paper_preset_reaches_the_losses(configure) -> None:
    code, paper = configure("method=sft"), configure("method=sft", "preset=paper")
    assert (code.objective.class_weight, paper.objective.class_weight) == (1.0, 0.0)
    paper = configure("method=mergan_jtr", "preset=paper")
    assert paper.method.replay_reduction == "mixture" and paper.method.penalise_replay
    assert paper.objective.class_weight == 1.0


@pytest.mark.parametrize(
    ("method", "exact"),
    [
        ("sft", False),
        ("per_task", True),
        ("dgm_w", True),
        ("dgm_a", True),
        ("piggyback_mask", True),
    ],
)
def test_only_methods_that_cannot_forget_are_exact(configure, method, exact) -> None:
    """What shows the same images is measured the same: forgetting is then no noise, but 0."""
    rows = RunRecord.load(train(configure(f"method={method}", "data.num_tasks=3"))).rows
    assert [row["retention"][0]["exact"] for row in rows] == [True, exact, exact]
    # The head that DGM classifies by is one for all tasks, and forgets.
    first, *later = [
        {name: x for name, x in row["metrics"][0].items() if "single_head" not in name}
        for row in rows
    ]
    assert "fid_classifier" in first
    assert all((numbers == first) is exact for numbers in later)


def test_same_seed_same_bits_other_seed_other_bits(configure, tmp_path) -> None:
    first, again, other = (
        train(configure("method=mergan_jtr", f"seed={seed}", f"run_dir={tmp_path}/{name}"))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert_same(final_state(first), final_state(again))
    key = "generator.body.0.weight"
    assert not torch.equal(final_state(first)[key], final_state(other)[key])


class Stop(Exception):
    """Stands for a crash."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Return a folder for runs that nothing disturbs, one per method."""
    return tmp_path_factory.mktemp("whole")


@pytest.mark.parametrize(
    "method", ["mergan_jtr", "per_task", "dgr", "ewc_gan", "dgm_w", "dgm_a", "rwalk_s"]
)
@pytest.mark.parametrize("where", [(0, 3), (1, 2), (1, 4)])
def test_resuming_gives_the_same_bits(configure, whole, tmp_path, monkeypatch, method, where):
    """Crash inside the first task, inside the second, and before the second's border is saved."""
    overrides = [f"method={method}", "callbacks.checkpoint.every=2", "callbacks.losses.every=1"]
    overrides += {"ewc_gan": ["method.fisher_samples=8"], "rwalk_s": ["method.window=3"]}.get(
        method, []
    )
    expected = train(configure(*overrides, f"run_dir={whole}/{method}"))  # once
    config = configure(*overrides, f"run_dir={tmp_path}/broken")
    step = LifelongGAN.training_step
    save = SequenceRunner._save

    def crash(self, *args):
        if (self.task_index, self.step) == where:
            raise Stop
        return step(self, *args)

    def crash_at_border(self, task, context):
        if (task, 4) == where:
            raise Stop
        return save(self, task, context)

    with monkeypatch.context() as patch:
        patch.setattr(LifelongGAN, "training_step", crash)
        patch.setattr(SequenceRunner, "_save", crash_at_border)
        with pytest.raises(Stop):
            train(config)
    assert RunRecord.load(tmp_path / "broken").status == "failed"
    resumed = train(config)
    assert_same(final_state(expected), final_state(resumed))
    rows = [RunRecord.load(folder).rows for folder in (expected, resumed)]
    assert [r["overall"] for r in rows[0]] == [r["overall"] for r in rows[1]]
    logs = [sorted((folder / "metrics.csv").read_text().split()) for folder in (expected, resumed)]
    assert logs[0] == logs[1], "each number is logged once, whatever was in between"


def test_complete_run_is_not_run_again(configure, capsys, monkeypatch) -> None:
    config = configure("method=sft")
    train(config)

    def never(self):
        raise AssertionError("ran again")

    monkeypatch.setattr(SequenceRunner, "run", never)
    train(config)
    assert "complete already" in capsys.readouterr().out


def test_changed_config_is_refused_with_a_difference(configure, tmp_path) -> None:
    train(configure(f"run_dir={tmp_path}/x"))
    before = (tmp_path / "x" / "config.yaml").read_text()
    with pytest.raises(RunError, match=r"training.steps: 4 -> 5"):
        train(configure(f"run_dir={tmp_path}/x", "training.steps=5"))
    assert (tmp_path / "x" / "config.yaml").read_text() == before


def test_resume_false_refuses_an_unfinished_run(configure, tmp_path, monkeypatch) -> None:
    config = configure(f"run_dir={tmp_path}/x", "resume=false")

    def crash(self, *args):
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(LifelongGAN, "training_step", crash)
        with pytest.raises(Stop):
            train(config)
    with pytest.raises(RunError, match="resume=true"):
        train(config)


def test_run_name_changes_with_what_matters_only(configure) -> None:
    name = configure().run_name
    assert configure("logger=tensorboard", "data.root=/else", "trainer=gpu").run_name == name
    assert configure("training.learning_rate=0.1").run_name != name


def test_diverging_run_stops_with_task_and_step_and_keeps_the_border(
    configure, tmp_path, monkeypatch
) -> None:
    step = LifelongGAN.training_step

    def explode(self, *args):
        step(self, *args)
        if (self.task_index, self.step) == (1, 2):
            self.losses["generator"] = self.losses["generator"] * float("nan")

    config = configure(f"run_dir={tmp_path}/x", "callbacks.guard.every=1")
    with monkeypatch.context() as patch:
        patch.setattr(LifelongGAN, "training_step", explode)
        with pytest.raises(TrainingDivergedError, match="task 1, step 2"):
            train(config)
    assert (tmp_path / "x/checkpoints/task0.pt").exists()
    assert not (tmp_path / "x/checkpoints/task1.pt").exists()
    assert "task 1, step 2" in (RunRecord.load(tmp_path / "x").error or "")
    assert RunRecord.load(train(config)).complete


def test_altered_and_foreign_checkpoints_are_refused(configure, tmp_path) -> None:
    folder = train(configure(f"run_dir={tmp_path}/x"))
    record = RunRecord.load(folder)
    record.status = "running"
    record.save(folder)
    border = folder / "checkpoints/task1.pt"
    content = load_tensors(border)
    torch.save(content | {"method": "dgr"}, border)
    with pytest.raises(RunError, match="method=dgr"):
        train(configure(f"run_dir={tmp_path}/x"))
    border.write_bytes(border.read_bytes()[:100])
    with pytest.raises(RunError, match="task1.pt"):
        load_run(folder)


def test_no_space_left_keeps_the_former_state(configure, tmp_path, monkeypatch) -> None:
    def full(content, path):
        if "checkpoints" in str(path):
            raise OSError(28, "No space left on device")
        return save(content, path)

    save = torch.save
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(RunError, match="No space left on device.*paths.runs"):
        train(configure(f"run_dir={tmp_path}/x"))
    assert RunRecord.load(tmp_path / "x").status == "failed"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.classes_per_task=0", "data.classes_per_task=0"),
        ("data.class_order=[0,1,2]", "missing"),
        ("training.batch_size=100000", "training.batch_size=100000"),
        ("training.steps=0", "training.steps=0"),
        ("objective.penalty_weight=-1", "objective.penalty_weight=-1"),
    ],
)
def test_bad_values_end_before_training_and_leave_no_run(configure, override, message) -> None:
    with pytest.raises(Exception, match=message) as caught:
        train(configure(override))
    cause = caught.value if isinstance(caught.value, ConfigError) else caught.value.__cause__
    assert isinstance(cause, ConfigError)


def test_sampling_from_a_run_without_its_config(configure, tmp_path) -> None:
    folder = train(configure("method=mergan_jtr"))
    method, border = load_run(folder)
    classes = sample_classes(border, 1)
    assert classes == [2, 3]
    images = to_uint8(draw(method, classes, 5, seed=3))
    assert images.shape == (10, 1, 8, 8)
    assert torch.equal(images, to_uint8(draw(method, classes, 5, seed=3)))
    out = tmp_path / "out"
    folders = folders_of({"class_names": ["2", "../3"]}, [0, 1], out)
    save_images(images, folders, out)
    assert len(list(out.rglob("0000*.png"))) == 10
    assert not (tmp_path / "3").exists()
    with pytest.raises(ConfigError, match=r"grid.png exists already; add overwrite=true"):
        save_images(images, folders, out)
    save_images(images[3:7], folders, out, overwrite=True)
    assert len(list(out.rglob("0000*.png"))) == 4, "no picture of an earlier call is left"
    with pytest.raises(ConfigError, match="task=7"):
        sample_classes(border, 7)
    with pytest.raises(ConfigError, match=r"after=9 .* one of 0 \(0\+1\), 1 \(2\+3\)"):
        load_run(folder, after=9)
    assert load_run(folder, after="0+1")[1]["task"] == 0
    with pytest.raises(RunError, match="not a run folder"):
        load_run(tmp_path / "none")


def test_hostile_checkpoint_is_refused(configure, tmp_path) -> None:
    folder = train(configure(f"run_dir={tmp_path}/x"))

    class Evil:
        def __reduce__(self):
            return (print, ("pwned",))

    torch.save({"state": Evil()}, folder / "checkpoints/task1.pt")
    with pytest.raises(RunError, match="cannot be loaded safely"):
        load_run(folder)
