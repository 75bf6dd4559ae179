"""What a newcomer meets: the budget that is taken, small classes, the summary."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lgan.errors import ConfigError, DataError
from lgan.launch.compose import compose_run
from lgan.reports.paper import quote
from lgan.run import identity
from lgan.run.folder import RunFolder
from lgan.run.record import RunRecord
from lgan.training import summary
from lgan.training.train import train


@pytest.mark.parametrize(
    ("asked", "gpu", "taken"),
    [
        (["data=mnist"], False, "cpu"),
        (["data=svhn"], True, "paper"),
        (["data=mnist", "budget=auto", "trainer=cpu"], True, "cpu"),
        (["data=mnist", "trainer=gpu"], False, "paper"),
        (["data=digits"], False, "paper"),
        (["data=photos"], False, "paper"),
        (["data=digits", "experiment=same_networks"], False, "cpu"),
    ],
)
def test_the_budget_that_nobody_named(monkeypatch, asked, gpu: bool, taken: str) -> None:
    monkeypatch.setattr(identity, "accelerated", lambda: gpu)
    config = compose_run(asked)
    assert config.budget == taken
    if "experiment=same_networks" in asked:
        assert config.budget_why is None
        return
    assert config.budget_why
    named = compose_run([*(each for each in asked if each != "budget=auto"), f"budget={taken}"])
    assert named.run_name == config.run_name, "it is the run that its budget would be"
    assert named.training == config.training and named.budget_why is None


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder as a new user has it."""
    root = tmp_path_factory.mktemp("own") / "meine Bilder"
    random = np.random.default_rng(0)
    for name, count in {"Äpfel rot": 9, "Nüsse & Kerne": 3, "zwei": 2}.items():
        folder = root / "train" / name
        folder.mkdir(parents=True)
        for i in range(count):
            pixels = random.integers(0, 256, (8 + i, 9, 3), dtype=np.uint8)
            picture = Image.fromarray(pixels)
            modes = ("RGB", "L", "P", "RGBA")
            picture.convert(modes[i % 4]).save(folder / f"bild {i}.{('png', 'webp')[i == 4]}")
        Image.fromarray(np.full((9, 9), 40_000, np.uint16) + np.arange(9, dtype=np.uint16) * 999
                        ).save(folder / "bild 0.png")  # fmt: skip
    (root / "train" / "zwei" / "kaputt.jpg").write_bytes(b"x")
    (root / "train" / "zwei" / "Thumbs.db").touch()
    (root / "train" / "zwei" / ".versteckt.png").touch()
    return root


def own_run(own: Path, place: Path, *more: str) -> list[str]:
    return [
        "data=image_folder", f"data.root={quote(str(own))}", "data.splits.size=8",
        "data.splits.channels=1", "network=digits", "training.steps=2", "evaluation=fast",
        "callbacks.samples.per_class=1", "threads=1", f"paths.runs={place}", *more,
    ]  # fmt: skip


@pytest.mark.slow
def test_an_own_folder_as_it_comes(own: Path, tmp_path: Path, capsys) -> None:
    folder = train(compose_run(own_run(own, tmp_path)))
    said = capsys.readouterr().err
    for line in (
        "  run        sft on image_folder, seed 0",
        "  tasks      3: Nüsse & Kerne, zwei, Äpfel rot",
        "               1 + 0 + 1: zwei",
        "               2 + 0 + 1: Nüsse & Kerne",
        "               6 + 1 + 2: Äpfel rot",
        "  pictures   8x8, grey, for the networks; files: 13 PNG, 1 WEBP; 9x9 to 9x16, "
        "most often 9x9",
        "  left out   train/zwei/Thumbs.db: no picture by its name",
        "             train/zwei/kaputt.jpg: no picture inside",
        "  repeated   to fill a batch: Nüsse & Kerne (2), zwei (1), Äpfel rot (6)",
        "  steps      2 of each task, 6 in all, in batches of 64",
        f"  goes to    {folder}",
    ):
        assert line in said.splitlines(), said
    assert "  budget     cpu (budget=auto: no GPU" in said or torch.cuda.is_available()
    assert said.count("files were left out") == 1 and said.count("(data.warn_below)") == 1
    summary = RunRecord.load(folder).summary
    assert summary["classes"]["zwei"] == {"train": 1, "validation": 0, "test": 1}
    assert summary["repeated"] == {"Nüsse & Kerne": 2, "zwei": 1, "Äpfel rot": 6}


def test_small_classes_are_refused_together_where_they_are_not_wanted(own: Path, tmp_path) -> None:
    config = compose_run(own_run(own, tmp_path, "data.allow_small=false"))
    with pytest.raises(ConfigError, match=r"Nüsse & Kerne \(2\), zwei \(1\), Äpfel rot \(6\): add"):
        train(config)
    assert not [*tmp_path.iterdir()]
    other = compose_run(own_run(own, tmp_path, "data.warn_below=3", "data.splits.broken=refuse"))
    same = identity.identity(config) == identity.identity(other)
    assert same, "what is refused changes no number"


def test_a_class_needs_two_pictures(own: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(own, tmp_path / "own")
    for path in sorted((copied / "train" / "zwei").glob("bild *"))[1:]:
        path.unlink()
    with pytest.raises(DataError, match="zwei: a class needs a picture to train on and another"):
        train(compose_run(own_run(copied, tmp_path / "runs")))


FACTS = {
    "method": "sft", "data": "own", "seed": 3, "tasks": [[f"c{t}"] for t in range(62)],
    "classes": {f"c{t}": {"train": t, "validation": 0, "test": 9} for t in range(62)},
    "repeated": {}, "image_shape": [3, 32, 32], "steps": 4000, "batch_size": 64,
    "found": {"kinds": {"PNG": 9}, "sizes": [[8, 8], [8, 8]],
              "left_out": {f"/a/{i}.txt": "no picture" for i in range(99)}},
    "budget": "paper", "budget_why": None, "parameters": 1234567, "device": "CPU",
}  # fmt: skip


def test_the_summary_fits_on_a_screen_and_a_sweeps_on_a_line(tmp_path: Path) -> None:
    shown = summary.lines(FACTS, RunFolder(tmp_path))
    assert len(shown) <= 30 and max(map(len, shown)) <= 110
    assert "  budget     paper" in shown and "all 8x8" in "".join(shown)
    assert "  and 54 larger classes, up to 61 to train on" in "\n".join(shown)
    assert "and 91 more files" in "".join(shown)
    assert summary.line(FACTS, RunFolder(tmp_path)) == (
        "sft on own, seed 3: 62 tasks, 1,891 training pictures, 4,000 steps of each task, budget "
        f"paper, to {tmp_path}"
    )
