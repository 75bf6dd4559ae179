"""From a picture file to a uint8 tensor of fixed shape."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from lgan.errors import DataError

_MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True)
class Decoder:
    """How a picture becomes ``(channels, size, size)``.

    Args:
        size: height and width in pixels.
        channels: 1 (grey) or 3 (RGB); pictures of the other kind are converted.
        fit: "crop" resizes the shorter side to `size` and crops the centre; "stretch" resizes
            both sides to `size`. Both are bilinear with antialiasing.
    """

    size: int
    channels: Literal[1, 3] = 3
    fit: Literal["crop", "stretch"] = "crop"

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of every decoded picture."""
        return self.channels, self.size, self.size


def check_header(path: Path) -> tuple[int, int]:
    """Read only the header of a picture, and return its width and height.

    Raises:
        DataError: the file is no picture that Pillow knows.
    """
    try:
        with Image.open(path) as opened:
            return opened.size
    except Exception as error:  # Pillow's plugins raise many kinds for damaged files
        raise _unreadable(path, error) from error


def decode(path: Path, decoder: Decoder) -> Tensor:
    """Return the picture as uint8 ``(C, H, W)``.

    Raises:
        DataError: the file cannot be decoded to its end.
    """
    return fit_picture(open_picture(path, decoder.channels), decoder)


def open_picture(path: Path, channels: int) -> Image.Image:
    """Return the whole picture, upright, in 8 bits and 1 or 3 channels.

    Raises:
        DataError: the file cannot be decoded to its end.
    """
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            return _eight_bits(image).convert(_MODES[channels])
    except Exception as error:  # Pillow's plugins raise many kinds for damaged files
        raise _unreadable(path, error) from error


def fit_picture(image: Image.Image, decoder: Decoder) -> Tensor:
    """Bring a picture to the decoder's size, uint8 ``(C, size, size)``."""
    sides, bilinear = (decoder.size, decoder.size), Image.Resampling.BILINEAR
    crop = decoder.fit == "crop"
    fitted = ImageOps.fit(image, sides, bilinear) if crop else image.resize(sides, bilinear)
    return torch.from_numpy(np.array(fitted).reshape(*sides, -1)).permute(2, 0, 1)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits, which Pillow's own conversion would clip to white."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image) // 256).clip(0, 255).astype(np.uint8))


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} cannot be read as a picture ({type(error).__name__}: {error}); "
        "replace the file or delete it."
    )
