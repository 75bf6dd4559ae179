"""Pictures in memory and in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lgan.data.augmentation import random_flip
from lgan.data.decoding import Decoder, decode
from lgan.data.images import FileImages, TensorImages, to_float, to_uint8
from lgan.data.splitting import hold_out, limit_per_class
from lgan.errors import DataError
from lgan.seeding import Noise

Picture = Callable[..., Path]


def test_every_grey_value_survives_the_borders() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    floats = to_float(values)
    assert floats[0] == -1 and floats[255] == 1
    assert torch.equal(to_uint8(floats), values)
    assert to_uint8(torch.tensor([-1.5, 1.5])).tolist() == [0, 255]


def test_tensor_images(make_images: Callable[..., TensorImages]) -> None:
    images = make_images(3, 4)
    assert (len(images), images.shape, images.num_bytes) == (12, (1, 4, 4), 192)
    assert images.take(torch.tensor([5, 2]))[:, 0, 0, 0].tolist() == [5, 2]
    assert images.subset(torch.tensor([5, 2])).labels.tolist() == [1, 0]
    assert images.of_classes([2, 0]).all()[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 8, 9, 10, 11]
    assert len(images.of_classes([7])) == 0
    with pytest.raises(ValueError, match="uint8"):
        TensorImages(torch.zeros(2, 1, 4, 4), torch.zeros(2))


def test_the_digest_follows_pixels_labels_and_shape(
    make_images: Callable[..., TensorImages],
) -> None:
    images = make_images(2, 2)
    pixels, labels = images.images.clone(), images.labels.clone()
    assert TensorImages(pixels, labels).digest() == images.digest()
    other = pixels.clone()
    other[0, 0, 1, 1] = 1
    digests = {
        images.digest(),
        TensorImages(other, labels).digest(),
        TensorImages(pixels, labels.flip(0)).digest(),
        TensorImages(pixels.view(4, 1, 2, 8), labels).digest(),
        images.subset(torch.arange(0)).digest(),
    }
    assert len(digests) == 5


def files_of(paths: list[Path], size: int = 6, channels: int = 3) -> FileImages:
    return FileImages(paths, torch.arange(len(paths)), Decoder(size, channels))


def test_files_in_memory_equal_files_on_demand(tmp_path: Path, picture: Picture) -> None:
    paths = [picture(tmp_path / f"{i}.png", 5 + i, 9, seed=i) for i in range(130)]
    files = files_of(paths)
    memory = files.load()
    rows = torch.tensor([129, 0, 64])
    assert torch.equal(memory.take(rows), files.take(rows))
    assert torch.equal(files.subset(rows).all(), memory.take(rows))
    assert files.take(rows[:0]).shape == (0, 3, 6, 6)
    assert files.num_bytes == memory.num_bytes == 130 * 3 * 36


def test_a_second_load_is_shared_until_a_file_changes(tmp_path: Path, picture: Picture) -> None:
    path = picture(tmp_path / "a.png", 6, 6)
    first = files_of([path]).load()
    assert files_of([path]).load().images.data_ptr() == first.images.data_ptr()
    picture(path, 6, 6, "L", seed=1)
    assert not torch.equal(files_of([path]).load().images, first.images)


def test_the_digest_of_files_follows_bytes_and_settings(tmp_path: Path, picture: Picture) -> None:
    path = picture(tmp_path / "a.png")
    before = files_of([path]).digest()
    assert files_of([path]).digest() == before
    assert files_of([path], size=5).digest() != before
    stat = path.stat()
    picture(tmp_path / "b.png", seed=1)
    assert files_of([tmp_path / "b.png"]).digest() != before
    path.rename(tmp_path / "c.png")
    assert files_of([tmp_path / "c.png"]).digest() == before, "names and times do not count"
    assert (tmp_path / "c.png").stat().st_size == stat.st_size


def test_crop_takes_the_centre_and_stretch_takes_all(tmp_path: Path) -> None:
    row = np.array([10, 10, 20, 20, 30, 30, 40, 40], dtype=np.uint8)
    path = tmp_path / "wide.png"
    Image.fromarray(np.tile(row, (4, 1))).save(path)
    crop = decode(path, Decoder(4, 1, "crop"))
    assert crop.shape == (1, 4, 4)
    assert crop[0, 0].tolist() == [20, 20, 30, 30]
    stretch = decode(path, Decoder(4, 1, "stretch"))[0, 0].tolist()
    assert stretch == sorted(stretch) and stretch[0] < 15 and stretch[-1] > 35


def test_channels_are_converted(tmp_path: Path, picture: Picture) -> None:
    grey = decode(picture(tmp_path / "g.png", 4, 4, "L"), Decoder(4, 3))
    assert torch.equal(grey[0], grey[1]) and torch.equal(grey[0], grey[2])
    path = tmp_path / "red.png"
    Image.new("RGB", (4, 4), (255, 0, 0)).save(path)
    assert decode(path, Decoder(4, 1)).unique().tolist() == [76]  # 0.299 * 255
    assert decode(path, Decoder(4, 3))[:, 0, 0].tolist() == [255, 0, 0]


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((4, 4), 0x8000, dtype=np.uint16)).save(path)
    assert decode(path, Decoder(4, 1)).unique().tolist() == [128]


@pytest.mark.parametrize("kept", [0, 20, 120])
def test_a_damaged_file_is_named(tmp_path: Path, picture: Picture, kept: int) -> None:
    good = picture(tmp_path / "good.png")
    bad = picture(tmp_path / "bad.png")
    bad.write_bytes(bad.read_bytes()[:kept])
    with pytest.raises(DataError, match="bad.png cannot be read as a picture"):
        files_of([good, bad]).load()


def test_hold_out_is_stratified_disjoint_and_fixed() -> None:
    labels = torch.tensor([0] * 40 + [1] * 10 + [2])
    kept, held = hold_out(labels, 0.2, 0)
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(51))
    assert labels[held].bincount().tolist() == [8, 2], "a lone picture stays"
    assert torch.equal(held, hold_out(labels, 0.2, 0)[1])
    assert not torch.equal(held, hold_out(labels, 0.2, 1)[1])
    assert len(hold_out(labels, 0.0, 0)[1]) == 0
    assert labels[hold_out(labels, 0.01, 0)[1]].tolist() == [0, 1]


def test_what_is_held_out_of_a_class_does_not_depend_on_the_others() -> None:
    labels = torch.tensor([0] * 40 + [1] * 40)
    both = hold_out(labels, 0.2, 0, ["a", "b"])[1]
    alone = hold_out(labels[40:], 0.2, 0, ["", "b"])[1]
    turned = hold_out(1 - labels, 0.2, 0, ["b", "a"])[1]
    assert torch.equal(both[8:] - 40, alone) and torch.equal(both, turned)
    assert not torch.equal(both[:8], alone)


def test_limit_per_class_keeps_the_first() -> None:
    labels = torch.tensor([1, 0, 1, 0, 1, 2])
    assert limit_per_class(labels, 2).tolist() == [0, 1, 2, 3, 5]
    assert limit_per_class(labels, None).tolist() == list(range(6))


def test_random_flip_mirrors_half_and_slices_by_rank() -> None:
    images = torch.arange(400 * 4).float().view(400, 1, 2, 2)
    out = random_flip(images, Noise(0))
    mirrored = (out == images.flip(-1)).flatten(1).all(1)
    untouched = (out == images).flatten(1).all(1)
    assert torch.equal(mirrored, ~untouched)
    assert 150 < int(mirrored.sum()) < 250
    halves = [random_flip(images[r::2], Noise(0, rank=r, world=2)) for r in range(2)]
    assert torch.equal(torch.stack(halves, dim=1).flatten(0, 1), out)
