"""`lgan-extend`: a run that goes on from a finished one is the run that was one from the start."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from every_method import CYCLE, DIGITS, TWO_TASKS, UNET
from PIL import Image

from benchmarks.soak_compare import differences
from lgan.errors import ConfigError, LganError, RunError
from lgan.launch.compose import compose_run
from lgan.launch.extension import compose_extension
from lgan.run.adoption import Parent
from lgan.run.borders import TENSORS
from lgan.run.record import RunRecord
from lgan.training.runner import SequenceRunner
from lgan.training.train import train

pytestmark = pytest.mark.slow

FAST = ("evaluation=fast", "evaluation.samples_per_class=8",
        "evaluation.classifier_training.steps=20")  # fmt: skip
EXPECTED = ("stamp.run", ": num_classes", "results.json: identity.extends", "results.json: ledger",
            "results.json: parent", "metrics.csv")  # fmt: skip
"""What an extended run may have of its own: whose child it is, and no losses of old tasks."""
GROW = " data.capacity=grow"
RESNET = (*UNET, "network=resnet6", "network.generator.blocks=1", "data.splits.size=32",
          "data.splits.tasks=[edges_to_photo,grey_to_colour]")  # fmt: skip
METHODS = {
    "digits": (DIGITS, (
        "sft", "mergan_jtr", "dgm_a", "ewc_gan method.fisher_samples=4" + GROW, "mergan_ra" + GROW,
        "dgr" + GROW, "dgm_w" + GROW, "piggyback_gan" + GROW,
        "dual_memory method.n_stm=1" + GROW,
    )),
    "photos": (RESNET, (
        "full", "piggyback_gan", "piggyback_mask", "progressive", "sft_heads", "lifelong_gan",
    )),
    "unpaired": (CYCLE, ("mergan_ra",)),
}  # fmt: skip
CASES = {
    f"{data} {method.split()[0]}": [*common, *TWO_TASKS, f"method={method.split()[0]}",
                                    *method.split()[1:]]
    for data, (common, methods) in METHODS.items() for method in methods
}  # fmt: skip
MEASURED = {"digits sft", "photos full"}
"""Those whose metrics are compared too."""
for case in MEASURED:
    CASES[case].remove("callbacks.evaluation=null")
    CASES[case] += FAST


@pytest.fixture
def runs(tmp_path: Path, cache: Path) -> Callable[..., Path]:
    """Return what composes lgan-train's or lgan-extend's config and trains: its folder."""

    def run(name: str, *overrides: str) -> Path:
        extends = any(override.startswith("run=") for override in overrides)
        compose = compose_extension if extends else compose_run
        return train(compose([*overrides, f"run_dir={tmp_path}/{name}", f"paths.cache={cache}"]))

    return run


def odd(straight: Path, extended: Path) -> list[str]:
    """Return in what two runs differ that should not."""
    return [d for d in differences(straight, extended) if not any(e in d for e in EXPECTED)]


@pytest.mark.parametrize("case", CASES)
def test_one_go_equals_many(runs, case) -> None:
    """Weights, pictures and rows, to the bit."""
    straight = runs("straight", *CASES[case])
    parent = runs("parent", *CASES[case], "data.num_tasks=1")
    before = contents(parent)
    extended = runs("extended", f"run={parent}", "num_tasks=2")
    assert odd(straight, extended) == []
    assert contents(parent) == before, "the parent is only read"
    record = RunRecord.load(extended)
    assert record.parent and record.parent["tasks"] == 1 and record.complete


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_translations_come_one_by_one_from_folders(runs, tmp_path) -> None:
    """Twice in a row, the second time from a run that was extended; then nothing is left to do."""
    names = ["a", "b", "c"]
    for seed, name in enumerate(names):
        pairs(tmp_path / name, seed)
    folders = [f"{{name: {n}, root: {tmp_path}/{n}, direction: AtoB}}" for n in names]
    common = [o for o in CASES["photos piggyback_gan"] if not o.startswith(("data", "cal"))]
    common += ["data=paired_folders", "network=resnet6", "data.splits.size=32", *FAST,
               "data.augmentation=null"]  # fmt: skip
    straight = runs("straight", *common, f"data.splits.folders=[{','.join(folders)}]")
    folder = runs("a", *common, f"data.splits.folders=[{folders[0]}]")
    for name, new in zip(names[1:], folders[1:], strict=True):
        folder = runs(name, f"run={folder}", f"folders=[{new}]")
    assert odd(straight, folder) == []
    parent = RunRecord.load(folder).parent
    assert parent and parent["tasks"] == 2 and parent["parent"]["tasks"] == 1
    with pytest.raises(ConfigError, match="folders.0..name=c is a task of run=.* already"):
        runs("again", f"run={folder}", f"folders=[{folders[2]}]")


SHORT = [*DIGITS, *TWO_TASKS]


@pytest.fixture(scope="module")
def parent(tmp_path_factory, cache) -> Path:
    """Return a finished run of two tasks of five."""
    folder = tmp_path_factory.mktemp("parent") / "run"
    return train(compose_run([*SHORT, f"run_dir={folder}", f"paths.cache={cache}"]))


@pytest.fixture(scope="module")
def straight(tmp_path_factory, cache) -> Path:
    """Return the run of three tasks."""
    places = [f"run_dir={tmp_path_factory.mktemp('straight')}/run", f"paths.cache={cache}"]
    return train(compose_run([*SHORT, "data.num_tasks=3", *places]))


def edit(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        content = json.loads((folder / "results.json").read_text())
        change(content)
        (folder / "results.json").write_text(json.dumps(content))

    return do


def flip(pattern: str) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        path = min(folder.glob(pattern))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 16
        path.unlink()  # as copies of the parent may be links
        path.write_bytes(content)

    return do


def unlink(pattern: str) -> Callable[[Path], None]:
    return lambda folder: min(folder.glob(pattern)).unlink()


def other_seed(folder: Path) -> None:
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("seed: 0", "seed: 1"))


HARM = {
    "gone": (shutil.rmtree, "run=.* is not a run folder: it has no config"),
    "in training": (edit(lambda r: r.update(status="running", rows=r["rows"][:1])),
                    "has finished 1 of 2 tasks and is running"),
    "failed": (edit(lambda r: r.update(status="failed")), "finished 2 of 2 tasks and is failed"),
    "of another version": (edit(lambda r: r.update(format=2)), "has format 2, this lgan reads"),
    "of an old version": (edit(lambda r: r.update(identity={}, content={})), "of an older lgan"),
    "changed": (other_seed, "config.yaml"),
    "record damaged": (lambda f: (f / "results.json").write_text("{"), "is damaged"),
    "last border gone": (unlink("checkpoints/task1.pt"), "lacks .*task1.pt, the border of its"),
    "border damaged": (flip("checkpoints/task0.pt"), "task0.pt is damaged"),
    "tensor damaged": (flip(f"checkpoints/{TENSORS}/*.pt"), "is damaged, restore it from a copy: "),
    "list gone": (unlink(f"checkpoints/{TENSORS}/*.names"), "is damaged, restore it from a copy: "),
    "tensor gone": (unlink(f"checkpoints/{TENSORS}/*.pt"), "is damaged, restore it from a copy: "),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARM)
def test_a_parent_that_cannot_be_extended_is_refused_in_a_sentence(
    runs, parent, tmp_path, harm
) -> None:
    folder = tmp_path / "parent"
    shutil.copytree(parent, folder)
    do, sentence = HARM[harm]
    do(folder)
    with pytest.raises(LganError, match=sentence):
        runs("child", f"run={folder}", "num_tasks=3")
    assert not (tmp_path / "child").exists()


MISTAKES = [
    ([], "has learnt 0.1, 2.3: say what comes next, by num_tasks="),
    (["num_tasks=2"], "num_tasks=2 must be more than the 2 tasks"),
    (["num_tasks=6"], "num_tasks=6 must lie between 1 and 5"),
    (["num_tasks=two"], "num_tasks=two must be a whole number of at least 1 or null"),
    (["folders=[{name: a, root: b, direction: AtoB}]"], "folders=.* needs a run on paired_folders"),
    (["folders=[a]"], "folders=.* must be a list, each entry a dictionary, each entry anything"),
    (["num_tasks=3", "callbacks=null"], "callbacks=null cannot be"),
    (["num_tasks=3", "data.classes_per_task=1"], "cut the classes of data.root=DIR, which is not"),
    (["data.root=/tmp"], "data.root=/tmp needs a run on data=image_folder"),
    (["num_tasks=3", "trainer=cpu", "trainer.precision=bf16-mixed"],
     "add trainer.precision=32-true"),
    (["num_tasks=3", "keep=some"], "keep=some must be a text of the form all, last or every:K"),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "sentence"), MISTAKES)
def test_a_mistake_is_told_by_its_key_before_anything_is_written(
    runs, parent, tmp_path, overrides, sentence
) -> None:
    with pytest.raises(LganError, match=sentence):
        runs("child", f"run={parent}", *overrides)
    assert not (tmp_path / "child").exists()


class Crash(Exception):
    """Stands for a kill."""


WHERE = {
    "adoption": (Parent, "adopt", 0),  # before it
    "record": (RunRecord, "save", 1),  # all is adopted, the record is not there
    "border": (SequenceRunner, "_add_row", 2),  # one border is measured again
    "task": (SequenceRunner, "_fit", 1),
}


@pytest.mark.parametrize("where", WHERE)
def test_an_extension_that_is_killed_goes_on(
    runs, parent, straight, tmp_path, monkeypatch, where
) -> None:
    """From its own folder alone, once there is a record; the end is that of the straight run."""
    shutil.copytree(parent, tmp_path / "p")
    kind, name, times = WHERE[where]
    calls, own = [], getattr(kind, name)

    def crash(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        if len(calls) == max(times, 1):
            raise Crash
        return own(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(kind, name, crash)
        with pytest.raises(Crash):
            runs("child", f"run={tmp_path}/p", "num_tasks=3")
    again = [f"run={tmp_path}/p", "num_tasks=3"]
    if (tmp_path / "child" / "results.json").exists():
        shutil.rmtree(tmp_path / "p")
        again = [f"run={tmp_path}/child"]
    assert odd(straight, runs("child", *again)) == []


def test_an_extension_that_lost_what_it_adopted_says_so(runs, parent, tmp_path, monkeypatch):
    def crash(*_: Any) -> None:
        raise Crash

    asked = ["child", f"run={parent}", "num_tasks=3"]
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(SequenceRunner, "_fit", crash)
        runs(*asked)
    flip("checkpoints/task1.pt")(tmp_path / "child")
    with pytest.raises(RunError, match=f"has lost the border of task 1, adopted from {parent}"):
        runs(*asked)


def test_tensors_stand_on_the_disk_once_unless_copies_are_asked_for(runs, parent) -> None:
    def inodes(folder: Path) -> set[int]:
        return {path.stat().st_ino for path in (folder / "checkpoints" / TENSORS).iterdir()}

    linked = runs("linked", f"run={parent}", "num_tasks=3")
    copied = runs("copied", f"run={parent}", "num_tasks=3", "copy=true")
    assert inodes(parent) < inodes(linked) and not inodes(parent) & inodes(copied)
    assert odd(linked, copied) == [] and linked != copied


def test_what_the_parent_did_not_keep_is_not_measured_again(runs) -> None:
    parent = runs("parent", *SHORT, "keep=last")
    record = RunRecord.load(runs("child", f"run={parent}", "num_tasks=3"))
    assert [("retention" in row, row["steps"]) for row in record.rows] == [(True, 2)] * 3
    assert record.events == [f"the border of task 0 was not kept by {parent}, so nothing is "
                             "measured of it again."]  # fmt: skip


def pairs(folder: Path, seed: int) -> None:
    """Write pairs of random pictures, side by side."""
    random = np.random.RandomState(seed)
    for part, count in (("train", 4), ("test", 2)):
        (folder / part).mkdir(parents=True)
        for number in range(count):
            pixels = random.randint(0, 256, (32, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / part / f"{number}.png")


def classes(root: Path, names: str) -> str:
    """Write random pictures of some classes, the same ones wherever; return where.

    Validation pictures are held out of train.
    """
    for name in names:
        random = np.random.RandomState(ord(name))
        for part, count in (("train", 8), ("test", 4)):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.randint(0, 256, (8, 8), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{number}.png")
    return f"data.root={root}"


def of_folders(method: str) -> list[str]:
    """Return the overrides of a short run on such classes, two a task."""
    network = ["network.generator.z_dim=32"] if method.startswith("dgm") else ["network=digits"]
    own = [o for o in TWO_TASKS if not o.startswith("data.num_tasks")]
    return [*own, "data=image_folder", "data.splits.size=8", "data.splits.channels=1",
            "data.classes_per_task=2", "training.batch_size=4", *f"method={method}".split(),
            *network]  # fmt: skip


OWN_PLACE = ("identity.data.", "content.root")


def test_new_classes_that_grow_are_those_of_one_go(runs, tmp_path) -> None:
    """Twice in a row; classes that are known already are not read, and only the last need be."""
    common = [*(o for o in of_folders("sft") if "evaluation" not in o), *FAST]
    common.append("data.capacity=grow")
    straight = runs("straight", *common, classes(tmp_path / "all", "abcdef"))
    folder = runs("x", *common, classes(tmp_path / "first", "ab"))
    for name, known in (("cd", "a"), ("ef", "bc")):
        root = tmp_path / name
        classes(root, known)
        for picture in root.rglob("*.png"):
            picture.write_bytes(b"no picture")
        folder = runs(name + "x", f"run={folder}", classes(root, name))
    found = [d for d in odd(straight, folder) if not any(own in d for own in OWN_PLACE)]
    assert found == []


def test_old_images_are_the_same_bits_after_new_classes_came(runs, tmp_path) -> None:
    """With rows for all classes of the parent from the start, and its pictures gone."""
    parent = runs("parent", *of_folders("dgm_w"), classes(tmp_path / "old", "abcd"))
    shutil.rmtree(tmp_path / "old")
    new = classes(tmp_path / "new", "efg")
    cut = "data.classes_per_task=[1,2]"
    rows = RunRecord.load(runs("child", f"run={parent}", new, cut)).rows
    assert [len(row["retention"]) for row in rows] == [1, 2, 3, 4]
    assert all(old["exact"] for row in rows for old in row["retention"])


def test_what_depends_on_pictures_that_are_gone_is_null(runs, tmp_path, capfd) -> None:
    common = [*(o for o in of_folders("sft") if "evaluation" not in o), *FAST]
    parent = runs("parent", *common, classes(tmp_path / "old", "ab"))
    joint = runs("joint", *common, "method=joint", f"data.root={tmp_path}/old")
    shutil.rmtree(tmp_path / "old")
    new = classes(tmp_path / "new", "cd")
    record = RunRecord.load(runs("child", f"run={parent}", new))
    first, second = record.rows
    assert not first["metrics"][0]
    assert set(second["metrics"][0].values()) == set(second["overall"].values()) == {None}
    assert second["metrics"][1]["accuracy_generated"] is not None
    told = [line for line in capfd.readouterr().err.splitlines() if "no real test images" in line]
    assert len(told) == 1 and "of task 0 (a, b)" in told[0]
    opened = [entry for entry in record.ledger["1"] if entry["by"] == "task"]
    assert [entry["tasks"] for entry in opened] == [[1]]
    with pytest.raises(ConfigError, match="method=joint trains on .* those of a, b are gone"):
        runs("x", f"run={joint}", new)
