"""Runs that are extended by classes for which their networks have no rows."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from composing import compose, config_path, initialize_config_dir
from torch import Tensor
from torchvision.utils import save_image

from lgan.inference.export import export
from lgan.inference.formats import known_formats
from lgan.inference.load import load_run
from lgan.inference.task_network import task_network
from lgan.launch.extension import extension_of
from lgan.methods.base import LifelongGAN
from lgan.run.borders import load_border
from lgan.run.record import RunRecord
from lgan.seeding import Noise
from lgan.training.train import train

pytestmark = pytest.mark.slow

SHORT = ["data=image_folder", "data.splits.size=8", "data.splits.validation_fraction=0",
         "training.steps=2", "training.batch_size=4",
         "callbacks.evaluation=null", "callbacks.samples.per_class=2", "callbacks.progress=null",
         "trainer=cpu", "threads=1"]  # fmt: skip
FISHER = "method.fisher_samples=4 method.accumulate=separate"
OTHERS = [
    f"ewc_gan {FISHER}", "mergan_jtr", "dgr", "joint_classifier", "icarl", "rwalk_s", "sft_heads",
]  # fmt: skip
EXACT = ["dgm_w", "dgm_a", "piggyback_gan", "piggyback_mask", "progressive", "per_task"]
OLD, NEW = ("ant", "bee"), ("cat", "dog")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> dict[str, Path]:
    """Return a folder of the old classes, of the new ones, and of all."""
    root = tmp_path_factory.mktemp("classes")
    noise = torch.Generator().manual_seed(0)
    for number, name in enumerate((*OLD, *NEW)):
        for part, count in (("train", 6), ("test", 2)):
            images = torch.rand(count, 3, 8, 8, generator=noise) / 2 + number / 8
            for folder in ("all", "old" if name in OLD else "new"):
                place = root / folder / part / name
                place.mkdir(parents=True)
                for index, image in enumerate(images):
                    save_image(image, place / f"{index}.png")
    return {folder.name: folder for folder in root.iterdir()}


@pytest.fixture
def runs(tmp_path: Path) -> Callable[..., Path]:
    """Return what composes lgan-train's or lgan-extend's config and trains: its folder."""

    def run(name: str, *overrides: str, script: str = "train") -> Path:
        places = [f"run_dir={tmp_path}/{name}", f"paths.cache={tmp_path}/cache"]
        with initialize_config_dir(config_path(), version_base="1.3"):
            config = compose(script, [*places, *overrides])
        return train(extension_of(config) if script == "extend" else config)

    return run


def settings(method: str) -> list[str]:
    name, *more = method.split()
    network = name if name.startswith("dgm") else "digits"
    return [*SHORT, f"method={name}", *more, f"network={network}"]


def states(folder: Path) -> list[dict[str, Tensor]]:
    return [load_border(folder / "checkpoints" / f"task{task}.pt")["state"] for task in range(2)]


def drawn(folder: Path, after: int | None = None) -> dict[int, Tensor]:
    method, _ = load_run(folder, after)
    return {c: method.sample(torch.full((4,), c), Noise(0)) for c in method.seen_classes}


@pytest.mark.parametrize("method", [*OTHERS, *EXACT])
def test_with_growing_rows_one_go_equals_many(runs, pictures, tmp_path, method) -> None:
    """Old pictures stay the same bits where the method says so, and exported files know classes."""
    common = [*settings(method), "data.capacity=grow", "data.classes_per_task=2"]
    parent = runs("parent", *common, f"data.root={pictures['old']}")
    extended = runs("extended", f"run={parent}", f"data.root={pictures['new']}", script="extend")
    straight = runs("straight", *common, f"data.root={pictures['all']}")
    for mine, theirs in zip(states(extended), states(straight), strict=True):
        assert mine.keys() == theirs.keys()
        assert [key for key in mine if not torch.equal(mine[key], theirs[key])] == []
    loaded, border = load_run(extended)
    assert border["num_classes"] == 2 and border["structure"]["num_classes"] == 4
    if loaded.has_classifier:
        assert loaded.classify(torch.zeros(1, 3, 8, 8)).shape == (1, 4)
    if method in EXACT:
        before, adopted, after = (drawn(parent), drawn(extended, 0), drawn(extended))
        for images in (before, adopted):
            assert all(torch.equal(after[label], images[label]) for label in (0, 1))
        assert len(after) == 4 and not torch.equal(after[2], after[3])
        rows = RunRecord.load(extended).rows
        assert all(entry["exact"] for row in rows for entry in row["retention"])
        check_files(loaded, border, tmp_path / "files")


def check_files(method: LifelongGAN, border: dict, folder: Path) -> None:
    """Export the task of the new classes, and ask for the second of them."""
    network = task_network(method, border, 1)
    several = method.name == "dgm_a" and importlib.util.find_spec("onnxscript")
    known = known_formats(method.networks.build_generator)
    formats = {name: known[name] for name in ("torch_export", *["onnx"] * bool(several))}
    files = export(network, formats, folder)
    assert all(row["difference"] <= formats[name].tolerance for name, row in files.items())
    program = torch.export.load(folder / "generator.pt2").module()
    z, y = torch.randn(5, *network.shape), torch.full((5,), 3)
    assert torch.equal(program(z, y), method.generate(z, y))


def test_networks_with_rows_for_all_old_classes_gain_those_for_new_ones(runs, pictures) -> None:
    parent = runs("parent", *settings("mergan_ra"), f"data.root={pictures['old']}")
    extended = runs("extended", f"run={parent}", f"data.root={pictures['new']}", script="extend")
    counts = [load_run(extended, task)[0].num_classes for task in range(4)]
    assert counts == [2, 2, 4, 4] and len(drawn(extended)) == 4
