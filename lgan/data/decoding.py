"""From a picture file to a uint8 tensor of fixed shape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from lgan.errors import DataError


@dataclass(frozen=True)
class Decoder:
    """How a picture, grey or in colour, becomes ``(channels, size, size)``.

    "crop" resizes the shorter side to `size` and crops the centre; "stretch" resizes both sides to
    `size`. Both are bilinear with antialiasing.
    """

    size: int
    channels: Literal[1, 3] = 3
    fit: Literal["crop", "stretch"] = "crop"

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of every decoded picture."""
        return self.channels, self.size, self.size


def check_header(path: Path) -> tuple[int, int]:
    """Read only the header of a picture, and return its width and height."""
    with _opened(path) as opened:
        return opened.size


def decode(path: Path, decoder: Decoder) -> Tensor:
    """Return the picture as uint8 ``(C, H, W)``."""
    return fit_picture(open_picture(path, decoder.channels), decoder)


def open_picture(path: Path, channels: int) -> Image.Image:
    """Return the picture, upright, in 8 bits; `DataError` if it cannot be decoded to its end."""
    with _opened(path) as opened:
        return _eight_bits(ImageOps.exif_transpose(opened)).convert("L" if channels == 1 else "RGB")


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


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as opened:
            yield opened
    except Exception as error:  # Pillow's plugins raise many kinds for damaged files
        raise DataError(
            f"{path} cannot be read as a picture ({type(error).__name__}: {error}); "
            "replace the file or delete it."
        ) from error
