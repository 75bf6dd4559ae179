"""Folders in ImageNet's layout."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.decoding import Decoder, decode
from lgan.data.image_folder import class_folders
from lgan.data.imagenet import choose_classes, imagenet50, paper_classes
from lgan.errors import ConfigError, DataError

Picture = Callable[..., Path]
SMALL = ("n01", "n02", "n03")


@pytest.fixture
def root(tmp_path: Path, picture: Picture) -> Path:
    """Return three classes with four training and two validation pictures each."""
    for label, name in enumerate(SMALL):
        for i in range(4):
            picture(tmp_path / "train" / name / f"{name}_{i}.JPEG", 50, 40, seed=10 * label + i)
        for i in range(2):
            picture(tmp_path / "val" / name / f"v{i}.JPEG", 40, 70, seed=10 * label + 5 + i)
    return tmp_path


def test_all_folders_of_a_small_set(root: Path) -> None:
    splits = imagenet50(str(root), size=32)
    assert (splits.name, splits.class_names) == ("imagenet50", SMALL)
    assert splits.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert splits.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert len(splits.validation) == 0
    assert splits.train.all().shape == (12, 3, 32, 32)


def test_named_classes_in_the_order_given_and_limits(root: Path) -> None:
    splits = imagenet50(str(root), ["n03", "n01"], train_limit_per_class=2, validation_fraction=0.5)
    assert splits.class_names == ("n03", "n01")
    names = [path.name for path in (*splits.train.paths, *splits.validation.paths)]  # type: ignore[attr-defined]
    assert sorted(names) == ["n01_0.JPEG", "n01_1.JPEG", "n03_0.JPEG", "n03_1.JPEG"]
    assert splits.train.labels.tolist() == splits.validation.labels.tolist() == [0, 1]


def test_the_papers_classes_of_a_thousand() -> None:
    names = [f"n{i:08d}" for i in range(1000)]
    chosen = paper_classes(names)
    expected = [1, 15, 29, 45, 59, 65, 81, 89, 90, 99, 101, 115]
    assert [int(name[1:]) for name in chosen][:12] == expected
    assert (len(chosen), chosen[-1], len(set(chosen))) == (50, "n00000499", 50)
    assert choose_classes(names, None) == chosen
    assert choose_classes(names[:999], None) == names[:999]
    assert choose_classes(names, ["n00000007"]) == ["n00000007"]


def test_a_thousand_folders_make_five_tasks(tmp_path: Path, picture: Picture) -> None:
    names = [f"n{i:08d}" for i in range(1000)]
    for name in names:  # only the fifty need pictures
        (tmp_path / "train" / name).mkdir(parents=True)
    for name in paper_classes(names):
        picture(tmp_path / "train" / name / "0.JPEG")
        picture(tmp_path / "val" / name / "0.JPEG")
    data = TaskSequenceDataModule(
        imagenet50, "imagenet50", str(tmp_path), classes_per_task=10, num_tasks=5, batch_size=5
    )
    data.setup()
    assert (data.num_tasks, data.num_classes) == (5, 50)
    last = [data.class_names[c] for c in data.tasks[4].classes]
    assert last[0] == "n00000401" and last[-1] == "n00000499"


def test_pictures_are_those_of_resize_and_centre_crop(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:96, 0:160]
    pixels = np.stack([rows * 2, columns, 255 - rows - columns // 2], axis=-1).astype(np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.png")
    ours = decode(tmp_path / "a.png", Decoder(32))
    theirs = v2.functional.pil_to_tensor(v2.Compose([v2.Resize(32), v2.CenterCrop(32)])(image))
    # They round the resized width of 53.3 to a pixel before the crop.
    assert (ours.int() - theirs.int()).abs().max() <= 3
    square = image.crop((0, 0, 64, 64))
    square.save(tmp_path / "b.png")
    exact = v2.functional.pil_to_tensor(v2.Resize(32)(square))
    assert torch.equal(decode(tmp_path / "b.png", Decoder(32)), exact)


def test_without_root() -> None:
    with pytest.raises(DataError, match=r"data.root=null: imagenet50 needs .*train/<wnid>/"):
        imagenet50()


@pytest.mark.parametrize("part", ["train", "val", "val/n02"])
def test_an_absent_folder_is_named_with_the_layout(root: Path, part: str) -> None:
    shutil.rmtree(root / part)
    message = rf"imagenet50: {root}/{part}[^ ]* is absent; data.root={root} must hold train/<wnid>/"
    with pytest.raises(DataError, match=message):
        imagenet50(str(root))


def test_a_class_that_is_not_there(root: Path) -> None:
    with pytest.raises(DataError, match="train/n99 is absent"):
        imagenet50(str(root), ["n01", "n99"])


@pytest.mark.parametrize("classes", [[], ["n01", "n01"]])
def test_classes_must_differ(root: Path, classes: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"data.splits.classes=\[.* must name each class once"):
        imagenet50(str(root), classes)


def test_fewer_classes_than_the_tasks_need(root: Path) -> None:
    data = TaskSequenceDataModule(imagenet50, "i", str(root), classes_per_task=1, num_tasks=5)
    with pytest.raises(ConfigError, match="data.num_tasks=5 must lie between 1 and 3"):
        data.setup()


def test_real_pictures(shared_data: Path) -> None:
    root = shared_data / "tiny-imagenet-10"
    if not root.is_dir():
        pytest.skip("needs tiny-imagenet-10 among the shared data")
    wanted = class_folders(root / "train")[3:6]
    splits = imagenet50(str(root), wanted, train_limit_per_class=5)
    assert splits.class_names == tuple(wanted)
    assert splits.train.labels.bincount().tolist() == [5, 5, 5]
    assert splits.test.labels.bincount().tolist() == [50, 50, 50]
    images = splits.train.all()
    assert images.shape == (15, 3, 32, 32)
    assert images.float().std() > 30
