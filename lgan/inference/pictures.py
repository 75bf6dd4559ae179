"""Pictures as Python users have them, each given back in the form that it came in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import rgb_to_grayscale, to_pil_image

from lgan.data.decoding import open_picture
from lgan.data.images import to_uint8
from lgan.errors import ConfigError, warn
from lgan.inference.route import Route, TaskRouter
from lgan.inference.translate import Fit, Picture, Translation, list_pictures, sizes

WANTED = "a PIL image, an array, a tensor, a path, or several of them"
FLOATS = ("float16", "bfloat16", "float32", "float64")
Source = Image.Image | Tensor  # of 8 bits, or float (C, H, W) in [-1, 1], with the right channels
Back = Callable[[Tensor], Any]  # makes of a result (C, H, W) one in the form of what was given


def translate_given(translation: Translation, given: Any, fit: Fit) -> Any:  # noqa: ANN401
    """Translate one picture, or several in a list, batch or folder; see `lgan.Run.translate`."""
    network, (several, join) = translation.network, _split(given)
    pictures, backs = [], []
    for name, each in several.items():
        source, back = _take(each, name, network.shape[0], translation.background)
        size = source.size if isinstance(source, Image.Image) else (*source.shape[:0:-1],)
        pictures.append(Picture(source, *sizes(network, name, size, fit)))
        backs.append(back)
    results = (image for _, image in translation.results(pictures))
    return join([back(image) for back, image in zip(backs, results, strict=True)])


def route_given(router: TaskRouter, given: Any) -> Route | list[Route]:  # noqa: ANN401
    """Return the route of one picture, or of several; see `lgan.Run.route`."""
    several, how = _split(given)[0], (router.decoder.channels, router.decoder.background)
    routes = list(router.routes(_take(each, name, *how)[0] for name, each in several.items()))
    return routes[0] if "picture" in several else routes


def _split(given: Any) -> tuple[dict[str, Any], Callable[[list[Any]], Any]]:  # noqa: ANN401
    """Return single pictures by name, and what joins their results."""
    join: Callable[[list[Any]], Any] = list
    if isinstance(given, str | Path) and Path(given).is_dir():
        return {str(path): path for path in list_pictures(Path(given))}, join
    if isinstance(given, np.ndarray | Tensor) and given.ndim == 4:
        join = np.stack if isinstance(given, np.ndarray) else torch.stack
    elif not isinstance(given, list | tuple):
        return {"picture": given}, lambda results: results[0]
    if not len(given):
        raise ConfigError(f"picture=... is empty; give {WANTED}.")
    return {f"picture[{index}]": each for index, each in enumerate(given)}, join


def _take(given: Any, name: str, channels: int, background: str) -> tuple[Source, Back]:  # noqa: ANN401
    """Return a picture as a network takes it, and the way back."""
    if isinstance(given, str | Path):
        return open_picture(Path(given), channels, background), _as_image
    if isinstance(given, Image.Image):
        return open_picture(given, channels, background, name), _as_image
    if not isinstance(given, np.ndarray | Tensor):
        raise ConfigError(f"{name}=... is of type {type(given).__name__}; give {WANTED}.")
    kind = str(given.dtype).removeprefix("torch.")
    if kind not in ("uint8", "uint16", *FLOATS):
        raise ConfigError(
            f"{name}=... is of {kind}; give uint8 (0 to 255), uint16, or float (-1 to 1)."
        )
    usual = -1 if isinstance(given, np.ndarray) else 0
    axis = _channel_axis(given, name, usual, 3 if kind in FLOATS else 4)
    pixels = torch.from_numpy(given.copy()) if isinstance(given, np.ndarray) else given.detach()
    pixels = pixels.cpu()[None] if axis is None else pixels.cpu().movedim(axis, 0)

    def back(result: Tensor) -> Any:  # noqa: ANN401
        made = result.to(pixels.dtype) if kind in FLOATS else to_uint8(result)
        if axis is None and len(made) == 1:
            made = made[0]
        else:
            made = made.movedim(0, usual if axis is None else axis).contiguous()
        return made.to(given.device) if isinstance(given, Tensor) else made.numpy()

    if kind in FLOATS:
        return _floats(pixels.float(), name, channels), back
    if kind == "uint16":
        pixels = (pixels.int() // 256).to(torch.uint8)
    return open_picture(to_pil_image(pixels), channels, background, name), back


def _channel_axis(given: np.ndarray | Tensor, name: str, usual: int, most: int) -> int | None:
    """Return where the channels stand, the `usual` place or the other one; None: nowhere, grey."""
    places = [usual, -1 - usual] if given.ndim == 3 else []
    found = [place for place in places if 0 < given.shape[place] <= most]
    if 0 in given.shape or (given.ndim != 2 and not found):
        raise ConfigError(
            f"{name}=... has the shape {tuple(given.shape)}; a picture has rows, columns and up to "
            f"{most} channels, which stand last in arrays and first in tensors."
        )
    return found[0] if found else None


def _floats(pixels: Tensor, name: str, channels: int) -> Tensor:
    """Return float pixels (C, H, W) with the network's channels; other ranges are refused."""
    if len(pixels) == 2:
        raise ConfigError(f"{name}=... has 2 channels; floats may have 1 or 3.")
    least, most = (value.item() for value in pixels.aminmax())
    if not (least >= -1 and most <= 1):  # or is not a number
        raise ConfigError(
            f"{name}=... holds floats from {least:g} to {most:g}; give them from -1 to 1, as "
            "generate does (x / 127.5 - 1 of 8 bits), or give uint8."
        )
    if least >= 0 and most > 0:
        warn(f"{name}=... holds floats from {least:g} to {most:g}; black is -1 here, and white 1.")
    if channels == 1 and len(pixels) == 3:
        return rgb_to_grayscale(pixels)
    return pixels.expand(channels, -1, -1)


def _as_image(result: Tensor) -> Image.Image:
    return to_pil_image(to_uint8(result))
