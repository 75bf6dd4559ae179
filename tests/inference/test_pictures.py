"""Pictures in any form that Python users have go through a network and come back in that form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from lgan.errors import ConfigError, DataError
from lgan.inference.pictures import translate_given
from lgan.inference.task_network import TaskNetwork
from lgan.inference.translate import Translation

COLOUR = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]


class Mirror(torch.nn.Module):
    """Answers the negative of what it sees, which it keeps."""

    def forward(self, x):
        self.seen = x
        return -x


def way(channels: int = 3) -> Translation:
    return Translation(TaskNetwork(0, "m", Mirror(), ("picture",), (0,), (channels, 8, 8), 4, 4))


def through(given, fit="pad", channels=3):
    return translate_given(way(channels), given, fit)


def test_every_form_of_one_picture_gives_the_same(tmp_path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    first = torch.from_numpy(COLOUR).permute(2, 0, 1)
    wanted = 255 - COLOUR
    assert np.array_equal(through(COLOUR), wanted)
    assert np.array_equal(through(COLOUR[::-1]), wanted[::-1])
    assert np.array_equal(through(np.moveaxis(COLOUR, -1, 0)), np.moveaxis(wanted, -1, 0))
    assert np.array_equal(through(first).permute(1, 2, 0), wanted)
    assert np.array_equal(through(torch.from_numpy(COLOUR)), wanted)
    assert np.array_equal(through(Image.fromarray(COLOUR)), wanted)
    assert np.array_equal(through(str(tmp_path / "a.png")), wanted)
    floats = through(first / 127.5 - 1)
    assert torch.allclose(floats, 1 - first / 127.5) and floats.dtype == torch.float32
    assert through(COLOUR / 127.5 - 1).dtype == np.float64


def test_several_come_back_together(tmp_path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    batch = np.stack([COLOUR, 255 - COLOUR])
    assert np.array_equal(through(batch), batch[::-1])
    assert torch.equal(through(torch.from_numpy(batch)), torch.from_numpy(batch[::-1].copy()))
    mixed = through([COLOUR, Image.fromarray(GREY), tmp_path / "a.png", COLOUR[:4, :4]])
    assert [type(each).__name__ for each in mixed] == ["ndarray", "Image", "Image", "ndarray"]
    assert mixed[3].shape == (4, 4, 3)
    assert [image.size for image in through(tmp_path)] == [(10, 6)]


def test_grey_transparent_and_deep_pictures() -> None:
    assert np.array_equal(through(GREY)[..., 1], 255 - GREY)
    assert np.array_equal(through(GREY, channels=1), 255 - GREY)
    assert through(torch.from_numpy(GREY.copy())[None], channels=1).shape == (1, 6, 10)
    luma = np.array(Image.fromarray(COLOUR).convert("L"))
    assert np.array_equal(through(COLOUR, channels=1)[..., 0], 255 - luma)
    as_float = torch.from_numpy(COLOUR).permute(2, 0, 1) / 127.5 - 1
    assert np.abs(through(as_float, channels=1)[0].numpy() + luma / 127.5 - 1).max() < 0.01
    clear = np.concatenate([COLOUR, np.zeros_like(COLOUR[..., :1])], axis=-1)
    for picture in (clear, Image.fromarray(clear)):
        assert not np.asarray(through(picture)).any(), "the white background shows"
    assert np.array_equal(through(GREY.astype(np.uint16) * 256 + 7)[..., 0], 255 - GREY)


def test_sizes() -> None:
    with pytest.raises(ConfigError, match=r"picture is 10x6 pixels, .* multiples of 4"):
        through(COLOUR, "none")
    assert through(COLOUR[:4, :8], "none").shape == (4, 8, 3)
    assert through(COLOUR, "resize").shape == (8, 8, 3)
    floats = torch.from_numpy(COLOUR).permute(2, 0, 1) / 127.5 - 1
    resized = through(floats, "resize")
    bytes_ = torch.from_numpy(through(COLOUR, "resize")).permute(2, 0, 1)
    assert (resized - (bytes_ / 127.5 - 1)).abs().max() < 0.02


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, r"picture=\.\.\. is of type NoneType; give a PIL image"),
        ([COLOUR, {}], r"picture\[1\]=\.\.\. is of type dict"),
        ([], "picture=... is empty"),
        (COLOUR.astype(int), "is of int64; give uint8"),
        (COLOUR.astype(float), "holds floats from 0 to 2.+; give them from -1 to 1"),
        (np.full((4, 4), np.nan), "holds floats from nan"),
        (np.zeros((4, 4, 2)), "has 2 channels; floats may have 1 or 3"),
        (np.zeros((7, 7, 7), np.uint8), r"has the shape \(7, 7, 7\)"),
        (np.zeros((0, 4, 3), np.uint8), r"has the shape \(0, 4, 3\)"),
        (np.zeros(4, np.uint8), r"has the shape \(4,\)"),
        (Image.new("F", (4, 4)), "picture holds floating-point numbers"),
        ("absent.png", "absent.png cannot be read as a picture"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused(given, message) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        through(given)


def test_floats_that_may_be_meant_otherwise_are_warned_of(capsys) -> None:
    through(COLOUR / 255)
    assert (
        "holds floats from 0 to 0.976471; black is -1 here, and white 1" in capsys.readouterr().err
    )
