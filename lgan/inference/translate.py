"""A folder of pictures through one task of a finished run: planned, read, translated, written."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Literal

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

from lgan.data.decoding import BACKGROUND, open_picture, suffixes, upright_size
from lgan.data.images import to_float, to_uint8
from lgan.errors import ConfigError, DataError, warn
from lgan.files import refuse_existing, staged
from lgan.inference.task_network import TaskNetwork
from lgan.networks.modes import as_in_training, random_devices
from lgan.progress import over
from lgan.seeding import mix

Fit = Literal["none", "pad", "resize"]
QUALITY = 95  # of formats that lose something; Pillow's own choice, 75, shows


@dataclass(frozen=True)
class Picture:
    """A picture to translate: in a file, or in memory, with the network's channels.

    In memory it is of 8 bits, or float (C, H, W) in [-1, 1].
    """

    source: Path | Image.Image | Tensor
    size: tuple[int, int]  # (height, width) of what comes out
    shape: tuple[int, int]  # (height, width) of what the network sees
    target: Path = Path()  # the file to write, of one from a file


@dataclass(frozen=True)
class Translation:
    """A network, and how pictures go through it.

    Pictures of one size go through together, up to `batch_size`. The seed is of BicycleGAN's codes
    and of dropout; each picture has its own, whatever the batches. `test_mode` is "eval", or
    "paper", as pix2pix's code tests: each picture by itself, with dropout, and with its own
    statistics in norms. `background` shows behind transparent pictures, as in training.
    """

    network: TaskNetwork
    batch_size: int = 8
    seed: int = 0
    device: str = "cpu"
    test_mode: str = "eval"
    background: str = BACKGROUND

    def results(self, pictures: Iterable[Picture]) -> Iterator[tuple[Picture, Tensor]]:
        """Yield each picture with its result (C, H, W) in [-1, 1], without what padding added."""
        self.network.network.to(self.device)
        done = 0
        for batch in batches(pictures, 1 if self.test_mode == "paper" else self.batch_size):
            for picture, image in zip(batch, self._call(batch, done), strict=True):
                yield picture, image[:, : picture.size[0], : picture.size[1]]
            done += len(batch)

    @torch.no_grad()
    def _call(self, batch: list[Picture], first: int) -> Tensor:
        module = self.network.network
        read_in = [read(picture, self.network.shape[0], self.background) for picture in batch]
        inputs = [torch.stack(read_in).to(self.device)]
        if self.network.code_length:
            inputs.append(self.network.code(self.seed, first, len(batch)).to(self.device))
        mode = as_in_training(module) if self.test_mode == "paper" else nullcontext()
        with mode, torch.random.fork_rng(random_devices(torch.device(self.device))):
            torch.manual_seed(mix(self.seed, "translate", first))
            return module(*inputs).float().cpu()


def translate(translation: Translation, pictures: list[Picture]) -> None:
    """Translate what `plan` returns and write all or none, and show how far it is."""
    with staged(pictures[0].target.parent) as part:
        found = translation.results(pictures)
        for picture, image in over(found, "translating", len(pictures), unit="picture"):
            write(part / picture.target.name, image)


def batches(pictures: Iterable[Picture], batch_size: int) -> Iterator[list[Picture]]:
    """Yield pictures in order, as many of one shape as follow each other up to `batch_size`."""
    for _, alike in groupby(pictures, lambda picture: picture.shape):
        while batch := list(islice(alike, batch_size)):
            yield batch


def plan(
    network: TaskNetwork, files: list[Path], output: Path, fit: Fit, suffix: str | None
) -> list[Picture]:
    """Return what is to be done with each file; only headers are read.

    The fit "none" takes pictures as they are; "pad" repeats their borders up to a size that the
    network takes, and cuts the results back; "resize" brings them to the training size.
    """
    pairs = zip(files, targets(files, output, suffix), strict=True)
    sized = ((file, *sizes(network, str(file), upright_size(file), fit)) for file in files)
    return [Picture(*each, target) for each, (_, target) in zip(sized, pairs, strict=True)]


def targets(files: list[Path], output: Path, suffix: str | None) -> list[Path]:
    """Return the file to write for each picture: of a format that Pillow writes, no name twice."""
    found: dict[Path, Path] = {}
    kinds = Image.registered_extensions()
    for file in files:
        target = output / (f"{file.stem}.{suffix.lstrip('.')}" if suffix else file.name)
        if kinds.get(target.suffix.lower()) not in Image.SAVE:
            raise ConfigError(f"{target.name}: Pillow cannot write this format; add format=png.")
        if target in found:
            raise ConfigError(
                f"format={suffix}: {found[target].name} and {file.name} would both be written to "
                f"{target.name}; rename one, or leave format out."
            )
        found[target] = file
    return list(found)


def list_pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder, by name; a warning counts others, but hidden ones."""
    if not folder.is_dir():
        raise DataError(f"input={folder} is no folder.")
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name[0] != "."]
    known = suffixes()
    found = [path for path in files if path.suffix.lower() in known]
    if not found:
        raise DataError(f"input={folder} holds no picture that Pillow reads, such as a .png file.")
    if others := len(files) - len(found):
        warn(f"input={folder}: {others} files are no pictures and were left out.")
    return found


def read(picture: Picture, channels: int, background: str = BACKGROUND) -> Tensor:
    """Return a picture as its network sees it, (channels, H, W) in [-1, 1]."""
    image, resized = picture.source, picture.size == picture.shape
    if isinstance(image, Tensor):
        if resized and image.shape[1:] != picture.shape:
            image = F.interpolate(image[None], picture.shape, mode="bilinear", antialias=True)[0]
        pixels = image
    else:
        if isinstance(image, Path):
            image = open_picture(image, channels, background)
        if resized and image.size[::-1] != picture.shape:
            image = image.resize(picture.shape[::-1], Image.Resampling.BILINEAR)
        pixels = to_float(pil_to_tensor(image))
    below, right = picture.shape[0] - pixels.shape[1], picture.shape[1] - pixels.shape[2]
    return F.pad(pixels, (0, right, 0, below), mode="replicate")


def write(target: Path, image: Tensor) -> None:
    """Write a result (C, H, W) in [-1, 1]."""
    kind = Image.registered_extensions()[target.suffix.lower()]
    to_pil_image(to_uint8(image)).save(target, format=kind, quality=QUALITY)


def check_output(pictures: list[Picture], overwrite: bool) -> None:
    """Refuse to write over the inputs, or, without `overwrite`, over other files."""
    written = [picture.target for picture in pictures]
    sources = {Path(str(picture.source)).resolve() for picture in pictures}
    if sources & {path.resolve() for path in written}:
        raise ConfigError(
            f"output={written[0].parent} would take the place of the pictures of input; choose "
            "another folder."
        )
    refuse_existing(written, overwrite)


def sizes(
    network: TaskNetwork, name: str, size: tuple[int, int], fit: str
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (height, width) of what comes of a picture of (width, height), and is seen of it."""
    width, height = size
    if fit == "resize":
        height, width = network.shape[1:]
    if fit == "resize" or network.fits(height, width):
        return (height, width), (height, width)
    step, least = network.multiple, network.least
    if fit == "none":
        raise ConfigError(
            f"{name} is {width}x{height} pixels, and this network takes multiples of {step}"
            f"{f', at least {least}' if least > step else ''}; add fit=pad (the borders are "
            f"repeated, and cut off again) or fit=resize (to {network.shape[2]}x"
            f"{network.shape[1]})."
        )
    padded = [max(-(-side // step) * step, least) for side in (height, width)]
    return (height, width), (padded[0], padded[1])


def choose_device(device: str) -> str:
    """Return the device to compute on, which torch has here."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device={device} cannot be used here; use auto or cpu.") from error
    return device
