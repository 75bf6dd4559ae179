"""The classic sets, through torchvision: MNIST, Fashion-MNIST, SVHN, CIFAR-10.

Where the files come from, in this order: the folder `root` as it is; archives in `root`, unpacked
into the cache (a `root` that holds files is only ever read); the network. ``root=None`` is the
cache, ``$XDG_CACHE_HOME/lgan/data``.
"""

import os
import shutil
import socket
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from torch import Tensor
from torchvision import datasets
from torchvision.transforms.functional import resize as resized

from lgan.arguments import Count, Whole
from lgan.data.images import ImageSplits, TensorImages
from lgan.data.splitting import hold_out, limit_per_class
from lgan.errors import ConfigError, DataError
from lgan.files import move_files

_FAILURES = (OSError, RuntimeError, ValueError, AssertionError, EOFError, tarfile.TarError)
_PATIENCE = 15.0  # seconds without a byte from the network before giving up
_DIGITS = tuple("0123456789")
_Loaded = tuple[TensorImages, TensorImages, tuple[str, ...]]  # training, test, names of classes


@dataclass(frozen=True)
class _Source:
    """How torchvision reads a set, and the files it can be made from, relative to the root."""

    name: str
    kind: Callable[..., Any]
    archives: tuple[str, ...]
    class_names: tuple[str, ...] | None = _DIGITS  # None: as the files say
    parts: tuple[bool | str, bool | str] = (True, False)
    channels_first: Callable[[Any], Any] = lambda data: data

    def read(self, root: str, download: bool) -> _Loaded:
        train, test = (self.kind(root, part, download=download) for part in self.parts)
        return self._images(train), self._images(test), self.class_names or tuple(train.classes)

    def _images(self, part: Any) -> TensorImages:  # noqa: ANN401
        # torchvision has turned label 10, SVHN's zero, into 0.
        labels = part.labels if hasattr(part, "labels") else part.targets
        pixels = np.ascontiguousarray(self.channels_first(part.data))
        return TensorImages(torch.from_numpy(pixels), torch.as_tensor(labels))


def mnist(
    root: str | None = None,
    resize: Literal["pad", "bilinear"] = "pad",
    validation: Whole = 5000,
    train_limit_per_class: Count | None = None,
) -> ImageSplits:
    """MNIST as in MeRGAN: 55,000 / 5,000 / 10,000 grey pictures of 32x32.

    `root` is a folder with ``MNIST/raw/*``, unpacked or not; None for the cache. From 28 to 32
    pixels by "pad" (zeros around, as MeRGAN's code does) or "bilinear" (the paper only says
    "resized"). The first `validation` training pictures are held out (TensorFlow's tutorial
    split); of the others the first `train_limit_per_class` of each class are kept.
    """
    return _splits(_MNIST, root, validation, train_limit_per_class, _RESIZES[resize])


def fashion_mnist(
    root: str | None = None,
    resize: Literal["pad", "bilinear"] = "pad",
    validation: Whole = 5000,
    train_limit_per_class: Count | None = None,
) -> ImageSplits:
    """Fashion-MNIST; everything as for `mnist`, with the files in ``FashionMNIST/raw``."""
    return _splits(_FASHION, root, validation, train_limit_per_class, _RESIZES[resize])


def svhn(
    root: str | None = None,
    validation: Whole = 0,
    train_limit_per_class: Count | None = None,
    seed: Whole = 0,
) -> ImageSplits:
    """SVHN's cropped digits: 73,257 / 26,032 RGB pictures of 32x32, without the extra part.

    `root` is a folder with ``train_32x32.mat`` and ``test_32x32.mat``. About `validation` training
    pictures are held out, the same share of each class, by a `seed` that is independent of the
    run's; MeRGAN trains on all of them, hence 0.
    """
    return _splits(_SVHN, root, validation, train_limit_per_class, seed=seed)


def cifar10(
    root: str | None = None,
    validation: Whole = 5000,
    train_limit_per_class: Count | None = None,
    seed: Whole = 0,
) -> ImageSplits:
    """CIFAR-10: 45,000 / 5,000 / 10,000 RGB pictures of 32x32; everything else as for `svhn`.

    `root` is a folder with ``cifar-10-batches-py`` or ``cifar-10-python.tar.gz``.
    """
    return _splits(_CIFAR10, root, validation, train_limit_per_class, seed=seed)


def cache_dir() -> Path:
    """Return the default folder for downloads, ``$XDG_CACHE_HOME/lgan/data``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lgan" / "data"


def _splits(
    source: _Source,
    root: str | None,
    validation: int,
    limit: int | None,
    resize: Callable[[Tensor], Tensor] | None = None,
    seed: int | None = None,
) -> ImageSplits:
    """Hold `validation` training pictures out: of each class by a seed, or the first ones."""
    train, test, class_names = _obtain(source, root)
    if resize:
        train, test = (TensorImages(resize(part.images), part.labels) for part in (train, test))
    if validation >= len(train):
        raise ConfigError(
            f"data.splits.validation={validation} must lie between 0 and {len(train) - 1}, one "
            "less than the number of training pictures."
        )
    if seed is None:
        held, kept = torch.arange(len(train)).tensor_split([validation])
    else:
        kept, held = hold_out(train.labels, validation / len(train), seed)
    limited = kept[limit_per_class(train.labels[kept], limit)]
    return ImageSplits(source.name, train.subset(limited), train.subset(held), test, class_names)


def _obtain(source: _Source, root: str | None) -> _Loaded:
    """Read the set from `root`, from archives there, from the cache or from the network."""
    home = Path(root).expanduser() if root else cache_dir()
    archives = [name for name in source.archives if (home / name).is_file()]
    place = cache_dir() if archives else home
    for folder in dict.fromkeys((home, place)):
        with suppress(*_FAILURES):  # absent or unpacked only in part: fetched anew
            return source.read(str(folder), False)
    try:
        return _fetch(source, place, {name: home / name for name in archives})
    except _FAILURES as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"there is no complete {source.name} in {home} and it could not be downloaded "
            f"({reason[:200]}): put {', '.join(source.archives)} there and set data.root, or use "
            "the embedded set, data=digits."
        ) from error


def _fetch(source: _Source, place: Path, archives: dict[str, Path]) -> _Loaded:
    # Unpacked in a folder apart, then moved: neither a crash nor a second process at work leaves a
    # half-unpacked file where it would be read later.
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix=".fetch-") as stage:
        for name, path in archives.items():
            copy = Path(stage, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(_PATIENCE)  # for a silent network torchvision would wait for ever
        try:
            loaded = source.read(stage, True)
        finally:
            socket.setdefaulttimeout(before)
        move_files(Path(stage), place)
    return loaded


def _idx(name: str, kind: type[datasets.MNIST], class_names: tuple[str, ...]) -> _Source:
    archives = tuple(f"{kind.__name__}/raw/{file}" for file, _ in kind.resources)
    return _Source(name, kind, archives, class_names, channels_first=lambda data: data[:, None])


_RESIZES: dict[str, Callable[[Tensor], Tensor]] = {
    "pad": lambda images: F.pad(images, (2, 2, 2, 2)),
    "bilinear": lambda images: resized(images, [32, 32], antialias=False),
}
_MNIST = _idx("mnist", datasets.MNIST, _DIGITS)
_FASHION = _idx("fashion_mnist", datasets.FashionMNIST, tuple(datasets.FashionMNIST.classes))
_SVHN = _Source(
    "svhn", datasets.SVHN, ("train_32x32.mat", "test_32x32.mat"), parts=("train", "test")
)
_CIFAR10 = _Source("cifar10", datasets.CIFAR10, (datasets.CIFAR10.filename,), class_names=None,
                   channels_first=lambda data: data.transpose(0, 3, 1, 2))  # fmt: skip
