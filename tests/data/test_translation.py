"""Pairs of pictures: how files are cut, how batches are drawn, what evaluation sees."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lgan.data.augmentation import jitter
from lgan.data.decoding import Decoder
from lgan.data.images import FileImages, Images, ImageSplits, TensorImages, to_float
from lgan.data.loader import BatchLoader
from lgan.data.paired_folders import paired_folders
from lgan.data.pairs import INPUT, TARGET, UnpairedImages, half
from lgan.data.translation import TranslationDataModule
from lgan.data.unpaired_folders import unpaired_folders
from lgan.errors import ConfigError, DataError, TaskAccessError
from lgan.seeding import Noise

SIZE = 4
Folders = list[dict[str, str]]


def plain(path: Path, *greys: int) -> None:
    """Write squares of one grey value each, side by side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    row = np.repeat(np.array(greys, np.uint8), SIZE)
    Image.fromarray(np.broadcast_to(row[None, :, None], (SIZE, len(row), 3)).copy()).save(path)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two tasks of pairs: A is 10, 11, ... and 50, 51, ...; B is 100 more."""
    for task, (start, count) in {"one": (10, 5), "two": (50, 3)}.items():
        for part, shift in (("train", 0), ("val", 10), ("test", 20)):
            for i in range(count):
                grey = start + shift + i
                plain(tmp_path / task / part / f"{i}.png", grey, grey + 100)
    return tmp_path


FOLDERS = [{"name": "one", "direction": "AtoB"}, {"name": "two", "direction": "BtoA"}]


@pytest.fixture
def sides(tmp_path: Path) -> Path:
    """One task of 7 and 3 pictures, another of 2 and 4; A is below 100, B above."""
    for task, start, counts in (("one", 10, (7, 3)), ("two", 50, (2, 4))):
        for side, count in zip("AB", counts, strict=True):
            for i in range(count):
                grey = start + i + (100 if side == "B" else 0)
                plain(tmp_path / task / f"train{side}" / f"{i}.png", grey)
            for i in range(count - 1):
                grey = start + 20 + i + (100 if side == "B" else 0)
                plain(tmp_path / task / f"test{side}" / f"{i}.png", grey)
    return tmp_path


def module(splits: Callable[..., ImageSplits], root: Path, **settings: Any) -> Any:
    kept = {"batch_size": 2, "steps": 40, **settings}
    opened = partial(splits, folders=FOLDERS, size=SIZE)
    return TranslationDataModule(opened, "hand", root=str(root), **kept)


def grey(pictures: Tensor) -> list[int]:
    """Return the one value of each picture, having seen that it has but one."""
    flat = pictures.flatten(1)
    assert torch.equal(flat, flat[:, :1].expand_as(flat))
    return flat[:, 0].tolist()


@pytest.mark.parametrize("in_memory", [True, False])
def test_left_is_a_and_right_is_b(pairs: Path, in_memory: bool) -> None:
    data = module(paired_folders, pairs, in_memory=in_memory)
    assert data.image_shape == (3, SIZE, SIZE) and data.task_kind == "pictures" and data.paired
    assert data.class_names == ("one", "two")
    assert [task.classes for task in data.tasks] == [(0,), (1,)]
    assert grey(data.test_inputs(0)) == [30, 31, 32, 33, 34], "A to B: the left half is the input"
    assert grey(data.test_images(0).all()) == [130, 131, 132, 133, 134]
    assert grey(data.test_inputs(1)) == [170, 171, 172], "B to A: the right half is"
    assert grey(data.test_images(1).all()) == [70, 71, 72]
    assert [grey(part) for part in data.test_pairs(1)] == [[170, 171, 172], [70, 71, 72]]
    assert grey(data.validation_images(1).all()) == [60, 61, 62]
    assert grey(data.test_images_of([0, 1]).all()) == [130, 131, 132, 133, 134, 70, 71, 72]
    every = data.training_images_for_evaluation()
    assert grey(every.all()) == [110, 111, 112, 113, 114, 50, 51, 52]
    assert every.labels.tolist() == [0] * 5 + [1] * 3
    assert every.shape == data.test_images(0).shape == (3, SIZE, SIZE)


@pytest.mark.parametrize("in_memory", [True, False])
def test_both_pictures_of_a_pair_can_be_grey(pairs: Path, in_memory: bool) -> None:
    data = module(partial(paired_folders, channels=1), pairs, in_memory=in_memory)
    assert data.image_shape == (1, SIZE, SIZE)
    assert [tuple(part.shape) for part in data.test_pairs(1)] == [(3, 1, SIZE, SIZE)] * 2
    assert [grey(part) for part in data.test_pairs(1)] == [[170, 171, 172], [70, 71, 72]]
    data.open(0)
    (batch,) = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch["z"].shape == batch["x"].shape == (2, 1, SIZE, SIZE)
    assert (batch["x"] - batch["z"]).sub(100 / 127.5).abs().max() < 1e-6


def test_both_sides_can_be_grey(sides: Path) -> None:
    data = module(partial(unpaired_folders, channels=1), sides, paired=False)
    assert data.image_shape == data.test_images(0).shape == (1, SIZE, SIZE)
    assert grey(data.test_inputs(1)) == [170, 171, 172]
    data.open(0)
    (batch,) = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch["z"].max() < 100 / 127.5 - 1 < batch["x"].min()


def test_the_digest_knows_the_direction_and_the_half(pairs: Path) -> None:
    turned = [{**entry, "direction": "AtoB"} for entry in FOLDERS]
    found = [
        paired_folders(str(pairs), folders, SIZE).test for folders in (FOLDERS, turned, FOLDERS)
    ]
    first, other, again = found
    assert first.digest() == again.digest() != other.digest()
    assert len({first.digest(), half(first, INPUT).digest(), half(first, TARGET).digest()}) == 3


def test_one_held_out_folder_is_the_test_part(pairs: Path) -> None:
    for picture in (pairs / "one" / "test").iterdir():
        picture.unlink()
    (pairs / "one" / "test").rmdir()
    splits = paired_folders(str(pairs), FOLDERS, SIZE, train_limit_per_class=2)
    assert splits.validation.labels.tolist() == [1] * 3
    assert grey(half(splits.test.of_classes([0]), INPUT).all()) == [20, 21, 22, 23, 24]
    assert splits.train.labels.tolist() == [0, 0, 1, 1]


def test_roots_may_be_whole_paths_or_several(pairs: Path) -> None:
    entries = [
        {"name": "a", "root": str(pairs / "two"), "direction": "AtoB"},
        {"name": "b", "root": ["nowhere", "two"], "direction": "BtoA"},
    ]
    splits = paired_folders(str(pairs), entries, SIZE)
    assert grey(half(splits.test, INPUT).all()) == [70, 71, 72, 170, 171, 172]


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_batch_holds_both_pictures_of_a_pair(pairs: Path, in_memory: bool) -> None:
    data = module(paired_folders, pairs, in_memory=in_memory)
    for task, (low, difference) in enumerate(((10, 100), (150, -100))):
        data.open(task)
        seen = set()
        for item in data.train_dataloader():
            (part,) = data.on_after_batch_transfer(item, 0)
            assert part["z"].shape == part["x"].shape == (2, 3, SIZE, SIZE)
            z, x = (((part[key] + 1) * 127.5).round().int() for key in "zx")
            assert grey(x - z) == [difference] * 2
            assert part["y"].tolist() == [task] * 2
            seen |= set(grey(z))
        assert seen == set(range(low, low + (5, 3)[task]))


def test_other_tasks_are_closed(pairs: Path) -> None:
    data = module(paired_folders, pairs)
    with pytest.raises(TaskAccessError, match="no task is open"):
        data.train_dataloader()
    images = data.open(1).images
    assert images.shape == (6, SIZE, SIZE) and images.labels.unique().tolist() == [1]
    images = data.open(1, cumulative=True).images
    assert (images.labels == 0).sum() == 5
    with data.ledger.training(1), pytest.raises(TaskAccessError, match=r"test pictures of .*\[1\]"):
        data.test_inputs(1)


def test_both_halves_have_the_same_jitter() -> None:
    """The target is the negative of the input, and still is after the augmentation."""
    inputs = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8)
    splits = TensorImages(torch.cat((inputs, 255 - inputs), 1), torch.zeros(6))
    whole = ImageSplits("negatives", splits, splits, splits, ("only",))
    found = {}
    for paired in (True, False):
        data = TranslationDataModule(
            lambda root: whole,
            "negatives",
            paired=paired,
            batch_size=6,
            augmentation=partial(jitter, load_size=20),
        )
        data.open(0)
        item = next(iter(data.train_dataloader()))
        # The same pairs for both, so that only the augmentation can part them.
        item[0]["x"] = splits.images
        first, again = (data.on_after_batch_transfer(item, 0)[0] for _ in range(2))
        assert torch.equal(first["x"], again["x"]), "a function of seed, task and step"
        assert first["x"].abs().max() <= 1 and first["x"].shape == inputs.shape
        assert not torch.equal(first["z"], to_float(inputs)), "something is done"
        found[paired] = (first["x"] + first["z"]).abs().max()
    assert found[True] < 1e-5
    assert found[False] > 0.5, "unpaired sides have draws of their own"


def test_jitter_cuts_and_mirrors() -> None:
    ramp = torch.linspace(-1, 1, 8).expand(64, 2, 8, 8)
    mirrored = jitter(ramp, Noise(0), load_size=8)
    same = (mirrored == ramp).flatten(1).all(1)
    turned = (mirrored == ramp.flip(-1)).flatten(1).all(1)
    assert (same ^ turned).all() and 16 < same.sum() < 48
    assert torch.equal(jitter(ramp, Noise(0), load_size=8, flip=False), ramp)
    cut = jitter(ramp, Noise(0), load_size=11, flip=False)
    assert cut.shape == ramp.shape and len(cut[:, 0, 0].mul(1e4).round().unique(dim=0)) == 4, (
        "0 to 3 pixels in"
    )
    assert torch.equal(cut[:, 0], cut[:, 1])
    with pytest.raises(ConfigError, match="load_size=7 must be at least 8"):
        jitter(ramp, Noise(0), load_size=7)


def drawn(loader: BatchLoader) -> list[tuple[int, int]]:
    """Return the grey values (input, target) of one epoch and the next."""
    batches = [loader[step][0] for step in range(2 * (len(loader.images) // loader.batch_size))]
    x = torch.cat([batch["x"] for batch in batches])
    return list(zip(*map(grey, x.chunk(2, 1)), strict=True))


@pytest.mark.parametrize("in_memory", [True, False])
def test_unpaired_sides_are_drawn_for_themselves(sides: Path, in_memory: bool) -> None:
    settings = {"paired": False, "batch_size": 1, "in_memory": in_memory, "steps": 14}
    data = module(unpaired_folders, sides, **settings)
    data.open(0)
    loader = data.train_dataloader()
    assert loader.images.in_files is not in_memory
    assert len(data.info.images) == 7, "the larger side"
    items = drawn(loader)
    epochs = items[:7], items[7:]
    for epoch in epochs:
        inputs, targets = zip(*epoch, strict=True)
        assert sorted(inputs) == list(range(10, 17)), "each picture of the larger side once"
        assert sorted(set(targets)) == [110, 111, 112]
        assert {targets.count(grey) for grey in targets} <= {2, 3}
    assert epochs[0] != epochs[1]
    partners = [{a: b for a, b in epoch} for epoch in epochs]
    assert partners[0] != partners[1], "another partner in another epoch"
    assert epochs[0] != sorted(epochs[0]) and [a for a, _ in epochs[0]] != [a for a, _ in epochs[1]]
    twin = module(unpaired_folders, sides, **settings)
    twin.open(0)
    assert drawn(twin.train_dataloader()) == items, "a function of seed, task and step"
    other = module(unpaired_folders, sides, **{**settings, "seed": 1})
    other.open(0)
    assert drawn(other.train_dataloader()) != items
    assert torch.equal(loader[9][0]["x"], list(loader)[9][0]["x"]), "any step, in any order"


def test_unpaired_tasks_keep_to_themselves(sides: Path) -> None:
    data = module(unpaired_folders, sides, paired=False, batch_size=1)
    assert data.image_shape == (3, SIZE, SIZE)
    data.open(1, cumulative=True)
    for inputs, target in drawn(data.train_dataloader()):
        one = inputs < 30 and 110 <= target < 130
        two = 150 <= inputs < 170 and 50 <= target < 70
        assert one or two, "both pictures are of one task; the second goes from B to A"


def test_unpaired_evaluation(sides: Path) -> None:
    data = module(unpaired_folders, sides, paired=False)
    assert grey(data.test_inputs(0)) == list(range(30, 36))
    assert grey(data.test_images(0).all()) == [130, 131]
    assert grey(data.test_inputs(1)) == [170, 171, 172]
    assert grey(data.test_images(1).all()) == [70]
    every = data.training_images_for_evaluation()
    assert grey(every.all()) == [110, 111, 112, 50, 51]
    assert every.labels.tolist() == [0, 0, 0, 1, 1]
    assert not len(data.validation_images(0))
    with pytest.raises(ConfigError, match="data.paired=true, but the pictures of data=hand"):
        module(unpaired_folders, sides).setup()


def test_ranks_share_an_unpaired_batch(sides: Path) -> None:
    images = unpaired_folders(str(sides), FOLDERS, SIZE).train.of_classes([0])
    whole = BatchLoader(images, 4, 1, 3, 0, 0)
    ranks = [BatchLoader(images, 4, 1, 3, 0, 0, rank, 2) for rank in range(2)]
    for step in range(3):
        parts = torch.stack([rank[step][0]["x"] for rank in ranks], dim=1).flatten(0, 1)
        assert torch.equal(parts, whole[step][0]["x"])


def test_pairs_can_be_taken_apart(pairs: Path) -> None:
    data = module(paired_folders, pairs, paired=False, batch_size=1)
    assert isinstance(data.splits.train, UnpairedImages)
    data.open(0)
    items = drawn(data.train_dataloader())
    assert {a for a, _ in items} == set(range(10, 15)) and {b - a for a, b in items} != {100}
    assert grey(data.test_inputs(0)) == [30, 31, 32, 33, 34]


def test_unpaired_subsets_and_memory() -> None:
    def side(*greys: int) -> Images:
        values = torch.tensor(greys, dtype=torch.uint8).view(-1, 1, 1, 1)
        return TensorImages(values.expand(-1, 3, 2, 2).contiguous(), torch.zeros(len(greys)))

    images = UnpairedImages(side(1, 2, 3), side(7, 8))
    assert images.rows.tolist() == [[0, 0], [1, 1], [2, 0]] and images.labels.tolist() == [0] * 3
    assert images.num_bytes == 5 * 12
    kept = images.subset(torch.tensor([2, 1]))
    assert grey(half(kept, INPUT).take(kept.rows[:, 0])) == [3, 2]
    assert kept.take(torch.tensor([0]))[0, :, 0, 0].tolist() == [3, 3, 3, 7, 7, 7]
    assert images.digest() != UnpairedImages(side(1, 2, 3), side(7, 9)).digest()
    with pytest.raises(TypeError, match="FileImages holds no pairs"):
        half(FileImages([], torch.empty(0), Decoder(2)), INPUT)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"name": "one", "direction": "left"}], r"folders\[0\].direction=left must be AtoB"),
        ([{"name": "one"}], r"folders\[0\].direction=None must be AtoB"),
        ([{"direction": "AtoB"}], r"folders\[0\] has the keys direction; it needs name"),
        ([FOLDERS[0], {**FOLDERS[1], "path": "x"}], r"folders\[1\] has the keys .*path"),
        ([FOLDERS[0], FOLDERS[0]], r"names \['one', 'one'\]; each must be another"),
    ],
)
def test_wrong_lists_are_refused(pairs: Path, entries: Folders, message: str) -> None:
    for splits in (paired_folders, unpaired_folders):
        with pytest.raises(ConfigError, match=message):
            splits(str(pairs), entries, SIZE)


def test_a_missing_part_is_named(pairs: Path, sides: Path) -> None:
    absent = [{"name": "three", "direction": "AtoB", "fetch": "the set three (1 MB)"}]
    with pytest.raises(DataError, match=r"three.train is absent .*Fetch the set three \(1 MB\)\."):
        paired_folders(str(pairs), absent, SIZE)
    for picture in (sides / "two" / "testB").iterdir():
        picture.unlink()
    with pytest.raises(DataError, match="testB holds no picture"):
        unpaired_folders(str(sides), FOLDERS, SIZE)
    (sides / "two" / "testB").rmdir()
    with pytest.raises(DataError, match="testB is absent .* trainA, trainB, testA, testB"):
        unpaired_folders(str(sides), FOLDERS, SIZE)


def test_a_task_without_test_pairs_is_named(tmp_path: Path) -> None:
    plain(tmp_path / "one" / "train" / "0.png", 1, 2)
    with pytest.raises(DataError, match=r"one \(task one\) has neither test nor val"):
        paired_folders(str(tmp_path), FOLDERS[:1], SIZE)


def test_bad_files_are_named(pairs: Path, sides: Path, picture: Callable[..., Path]) -> None:
    for name in ("odd", "strange"):
        picture(pairs / "two" / "val" / f"{name}.png", 9, 4)
    with pytest.raises(DataError, match=r"odd.png is 9 .* in two halves \(and 1 more file"):
        paired_folders(str(pairs), FOLDERS, SIZE)
    for name in ("odd", "strange"):
        (pairs / "two" / "val" / f"{name}.png").unlink()
    cut = pairs / "one" / "train" / "2.png"
    cut.write_bytes(cut.read_bytes()[:60])
    before = len(paired_folders(str(pairs), FOLDERS, SIZE).train)
    assert module(paired_folders, pairs, in_memory=True).found["left_out"].keys() == {str(cut)}
    with pytest.raises(DataError, match=r"1 files cannot be read .*2.png \("):
        paired_folders(str(pairs), FOLDERS, SIZE, broken="refuse")
    cut.unlink()
    assert len(paired_folders(str(pairs), FOLDERS, SIZE).train) == before
    (sides / "one" / "testA" / "bad.jpg").write_bytes(b"no picture")
    found = unpaired_folders(str(sides), FOLDERS, SIZE).found
    assert list(found.left_out.values()) == ["no picture inside"]


def test_real_facades_and_maps(shared_data: Path) -> None:
    if not (shared_data / "facades").is_dir() or not (shared_data / "maps-256").is_dir():
        pytest.skip("needs facades and maps-256 in ../shared/data")
    entries = [
        {"name": "facades", "direction": "BtoA"},
        {"name": "maps", "root": ["maps", "maps-256"], "direction": "BtoA"},
    ]
    splits = paired_folders(str(shared_data), entries, 32)
    assert splits.train.labels.bincount().tolist() == [400, 250]
    assert splits.test.labels.bincount().tolist() == [106, 50]
    assert splits.validation.labels.bincount().tolist() == [100]
    inputs, targets = (half(splits.test, which) for which in (INPUT, TARGET))
    labels = inputs.take(torch.arange(8)).float()
    photos = targets.take(torch.arange(8)).float()
    # Labels of facades are mostly pure blue; photographs of houses are nearly grey.
    assert (labels[:, 2] - labels[:, 0]).mean() > 50 > (photos[:, 2] - photos[:, 0]).abs().mean()
    drawings = inputs.take(torch.arange(106, 114)).float().mean()
    assert drawings > 180 > targets.take(torch.arange(106, 114)).float().mean() + 50


def test_tasks_are_learned_in_the_order_asked_for(pairs: Path, sides: Path) -> None:
    both = paired_folders(str(pairs), FOLDERS, size=4, tasks=["two", "one"])
    assert both.class_names == ("two", "one")
    assert both.train.labels.tolist() == [0] * 3 + [1] * 5
    only = unpaired_folders(str(sides), FOLDERS, size=4, tasks=["two"])
    assert only.class_names == ("two",)
    for wrong in (["three"], ["one", "one"], []):
        with pytest.raises(ConfigError, match=r"data\.splits\.tasks=.* must name some of one, two"):
            paired_folders(str(pairs), FOLDERS, size=4, tasks=wrong)
