"""One rule from file to pixels: transparency, depth, orientation, suffixes, blank pictures."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lgan.data.decoding import Decoder, check_file, decode, suffixes, upright_size
from lgan.data.image_folder import image_folder
from lgan.errors import ConfigError, DataError


def logo(path: Path, mode: str = "RGBA") -> Path:
    """Black on a transparent ground, the left half opaque."""
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, :4, 3] = 255
    picture = Image.fromarray(pixels)
    if mode == "P":
        indexed = Image.fromarray(pixels[..., 3] // 255)
        indexed.putpalette([0, 0, 0, 0, 0, 0])
        indexed.save(path, transparency=0)
    else:
        picture.convert(mode).save(path)
    return path


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_shows_the_background(tmp_path: Path, mode: str, channels) -> None:
    path = logo(tmp_path / "logo.png", mode)
    white = decode(path, Decoder(8, channels))
    assert Decoder(8).channels == 3
    assert white[:, :, :4].eq(0).all() and white[:, :, 4:].eq(255).all()
    red = decode(path, Decoder(8, 3, background="#ff0000"))
    assert red[:, 0, 7].tolist() == [255, 0, 0] and red[:, 0, 0].tolist() == [0, 0, 0]


def test_half_transparent_pixels_are_mixed(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (255, 0, 0, 51)).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", Decoder(4))[:, 0, 0].tolist() == [255, 204, 204]


def test_an_unknown_background_is_named() -> None:
    with pytest.raises(ConfigError, match=r"data.splits.background=whyte is no colour"):
        Decoder(8, background="whyte")


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_keep_their_upper_byte(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep.{suffix}"
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1024).save(path)
    assert decode(path, Decoder(8, 1)).flatten().tolist() == [4 * i for i in range(64)]


def test_sixteen_bits_with_a_transparent_value(tmp_path: Path) -> None:
    pixels = np.full((4, 4), 0x8000, np.uint16)
    pixels[0, 0], pixels[0, 1] = 0x1234, 0x1235  # equal in their upper byte
    Image.fromarray(pixels).save(tmp_path / "a.png", transparency=0x1234)
    assert decode(tmp_path / "a.png", Decoder(4, 1))[0, 0, :3].tolist() == [255, 0x12, 0x80]


@pytest.mark.parametrize(
    ("kind", "said"),
    [(np.float32, "floating-point numbers"), (np.int32, "32-bit numbers")],
)
def test_numbers_without_a_range_are_refused_by_the_header(tmp_path: Path, kind, said) -> None:
    path = tmp_path / "a.tiff"
    Image.fromarray(np.ones((4, 4), kind)).save(path)
    with pytest.raises(DataError, match=rf"a.tiff holds {said}, whose range nothing says"):
        check_file(path)
    with pytest.raises(DataError, match=said):
        decode(path, Decoder(4))


def test_other_kinds_of_colour(tmp_path: Path) -> None:
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    red = decode(tmp_path / "a.jpg", Decoder(4))[:, 0, 0].tolist()
    assert red[0] > 240 and max(red[1:]) < 15
    Image.new("LAB", (4, 4), (50, 0, 0)).save(tmp_path / "lab.tiff")
    with pytest.raises(DataError, match="colours of the kind LAB"):
        check_file(tmp_path / "lab.tiff")


def test_the_first_frame_and_the_orientation(tmp_path: Path) -> None:
    first, second = Image.new("L", (4, 4), 10), Image.new("L", (4, 4), 200)
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert decode(tmp_path / "a.gif", Decoder(4, 1)).unique().tolist() == [10]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.new("RGB", (4, 8)).save(tmp_path / "turned.jpg", exif=exif)
    assert upright_size(tmp_path / "turned.jpg") == (8, 4)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "0.png")
    with pytest.raises(DataError, match=r"0.png is no regular file"):
        check_file(tmp_path / "0.png")


def test_what_pillow_reads_is_taken_and_the_rest_is_counted(tmp_path: Path, capsys) -> None:
    assert {".jfif", ".png", ".jpeg", ".webp", ".tif"} <= suffixes()
    assert not {".eps", ".h5", ".mpg", ".txt", ".pdf"} & suffixes()
    source = np.random.default_rng(0)
    for name in ("a", "b"):
        folder = tmp_path / "train" / name
        folder.mkdir(parents=True)
        for i in range(10):
            noise = source.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / f"{i}.jfif", "jpeg")
        (folder / "notes.txt").touch()
        (folder / "README").touch()
    splits = image_folder(str(tmp_path), size=8)
    assert sum(map(len, splits.parts)) == 20
    said = capsys.readouterr().err
    assert "train: 4 files were left out: README (no picture by its name), notes.txt (" in said
    assert "of one colour" not in said


def test_blank_pictures_are_warned_of(tmp_path: Path, capsys) -> None:
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(10):
            logo(tmp_path / "train" / name / f"{i}.png")
            if name == "b":
                Image.new("RGB", (8, 8), (i, i, i)).save(tmp_path / "train" / name / f"{i}.png")
    images = image_folder(str(tmp_path), size=8)
    assert "the pictures of b are empty once decoded" in capsys.readouterr().err
    assert images.train.take(torch.tensor([0]))[0, :, 0, 7].tolist() == [255] * 3
    image_folder(str(tmp_path), size=8, background="black")
    assert "the pictures of a, b are empty once decoded" in capsys.readouterr().err


def test_names_that_are_no_text_are_escaped(tmp_path: Path) -> None:
    for name in (b"gr\xfcn", b"gr\xe4n", "gr\u00fcn".encode()):
        folder = os.path.join(os.fsencode(tmp_path), b"train", name)
        os.makedirs(folder)
        for i in range(5):
            Image.new("L", (4, 4)).save(os.path.join(os.fsdecode(folder), f"{i}.png"))
    names = image_folder(str(tmp_path), size=4).class_names
    assert sorted(names) == ["gr\\xe4n", "gr\\xfcn", "gr\u00fcn"]
