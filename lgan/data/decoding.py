"""From a picture file to a uint8 tensor of fixed shape: one rule for training and translating.

Pictures are upright (EXIF), of animations the first frame is taken, transparency shows the
background, 16 bits become 8 by their upper byte. What has no stated range, floating-point and
32-bit numbers, is refused by its header.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, ImageColor, ImageOps
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from lgan.errors import ConfigError, DataError

BACKGROUND = "white"
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_ENDS = {"JPEG": b"\xff\xd9", "GIF": b";"}
_FLAT = 4  # of 255: a picture whose channels vary no more is taken for empty
_ASIDE = ("EPS", "MPEG", "BUFR", "GRIB", "HDF5", "WMF")  # programs, films, what needs a plugin


@dataclass(frozen=True)
class Decoder:
    """How a picture, grey or in colour, becomes ``(channels, size, size)``.

    "crop" resizes the shorter side to `size` and crops the centre; "stretch" resizes both sides to
    `size`. Both are bilinear with antialiasing. `background` is the colour, by name or as #rrggbb,
    that shows where a picture is transparent.
    """

    size: int
    channels: Literal[1, 3] = 3
    fit: Literal["crop", "stretch"] = "crop"
    background: str = BACKGROUND

    def __post_init__(self) -> None:
        try:
            ImageColor.getrgb(self.background)
        except ValueError as error:
            raise ConfigError(
                f"data.splits.background={self.background} is no colour; give a name such as white "
                "or black, or #rrggbb."
            ) from error

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of every decoded picture."""
        return self.channels, self.size, self.size


def suffixes() -> frozenset[str]:
    """Return the endings, in lower case, of the files that Pillow reads as pictures."""
    kinds = Image.registered_extensions().items()
    return frozenset(end for end, kind in kinds if kind in Image.OPEN and kind not in _ASIDE)


def check_file(path: Path) -> tuple[str, tuple[int, int]]:
    """Return a picture's kind, such as JPEG, and size; `DataError` if it is none, or not whole.

    Its header is read, and whether it ends as such files do; one that does not is decoded.
    """
    with _opened(path) as opened:
        found = str(opened.format), opened.size
    if not _ends_well(path, found[0]):
        open_picture(path, 3)
    return found


def _ends_well(path: Path, kind: str) -> bool:
    with path.open("rb") as file:
        start = file.read(8)
        size = file.seek(0, 2)
        file.seek(-min(size, 12), 2)
        end = file.read()
    if kind == "WEBP":
        return int.from_bytes(start[4:], "little") + 8 <= size
    return end.endswith(_ENDS.get(kind, b"?")) if kind != "PNG" else b"IEND" in end


def upright_size(path: Path) -> tuple[int, int]:
    """Return width and height once the picture's orientation is obeyed."""
    with _opened(path) as opened:
        width, height = opened.size
        # Pillow looks for a PNG file's orientation behind its pixels, too.
        turned = opened.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        return (height, width) if turned else (width, height)


def decode(source: Path | Image.Image, decoder: Decoder) -> Tensor:
    """Return the picture as uint8 ``(C, H, W)``."""
    return fit_picture(open_picture(source, decoder.channels, decoder.background), decoder)


def open_picture(
    source: Path | Image.Image, channels: int, background: str = BACKGROUND, name: str = ""
) -> Image.Image:
    """Return the picture, upright, in 8 bits; `DataError` if it cannot be decoded to its end.

    It is in a file, or, by the `name` that errors give it, in memory.
    """
    with _opened(source, name) as opened:
        image = _eight_bits(ImageOps.exif_transpose(opened))
        if image.has_transparency_data:
            ground = Image.new("RGBA", image.size, background)
            image = Image.alpha_composite(ground, image.convert("RGBA"))
        return image.convert("L" if channels == 1 else "RGB")


def fit_picture(image: Image.Image, decoder: Decoder) -> Tensor:
    """Bring a picture to the decoder's size, uint8 ``(C, size, size)``."""
    sides, bilinear = (decoder.size, decoder.size), Image.Resampling.BILINEAR
    crop = decoder.fit == "crop"
    fitted = ImageOps.fit(image, sides, bilinear) if crop else image.resize(sides, bilinear)
    return pil_to_tensor(fitted)


def is_blank(pictures: Tensor) -> Tensor:
    """Return which of uint8 ``(N, C, H, W)`` are all but of one colour, bool ``(N,)``."""
    least, most = pictures.flatten(2).aminmax(dim=2)
    return (most - least <= _FLAT).all(1)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits, which Pillow's own conversion would clip to white."""
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    grey = Image.fromarray((values // 256).clip(0, 255).astype(np.uint8))
    if (clear := image.info.get("transparency")) is not None:
        grey.putalpha(Image.fromarray((values != clear).astype(np.uint8) * 255))
    return grey


@contextmanager
def _opened(source: Path | Image.Image, name: str = "") -> Iterator[Image.Image]:
    path = name or source
    if isinstance(source, Path) and source.exists() and not source.is_file():
        raise DataError(f"{path} is no regular file; remove it.")  # a pipe would be waited for
    try:
        with (
            nullcontext(source) if isinstance(source, Image.Image) else Image.open(source) as opened
        ):
            _check_range(str(path), opened)
            yield opened
    except DataError:
        raise
    except Exception as error:  # Pillow's plugins raise many kinds for damaged files
        raise DataError(
            f"{path} cannot be read as a picture ({type(error).__name__}: {error}); "
            "replace the file or delete it."
        ) from error


def _check_range(path: str, image: Image.Image) -> None:
    # PNG and PPM files of 16 bits are opened in Pillow's mode of 32.
    known = image.mode in _MODES or image.mode.startswith("I;16")
    if known or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return
    what = {"F": "floating-point numbers", "I": "32-bit numbers"}
    raise DataError(
        f"{path} holds {what.get(image.mode, f'colours of the kind {image.mode}')}, whose range "
        "nothing says; convert it to 8 or 16 bits, grey or RGB."
    )
