"""The classic sets, through torchvision: MNIST, Fashion-MNIST, SVHN, CIFAR-10.

Where the files come from, in this order: the folder `root` as it is; archives in `root`, unpacked
into the cache (a `root` that holds files is only ever read); the network. ``root=None`` is the
cache, ``$XDG_CACHE_HOME/lgan/data``.
"""

from __future__ import annotations

import os
import shutil
import socket
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from torch import Tensor
from torchvision import datasets

from lgan.arguments import Count, Whole
from lgan.data.images import Images, ImageSplits, TensorImages
from lgan.data.splitting import hold_out, limit_per_class
from lgan.errors import ConfigError, DataError

_FAILURES = (OSError, RuntimeError, ValueError, AssertionError, EOFError, tarfile.TarError)
_PATIENCE = 15.0  # seconds without a byte from the network before giving up
_DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class _Loaded:
    train: TensorImages
    test: TensorImages
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class _Source:
    """How torchvision reads a set, and the files it can be made from, relative to the root."""

    name: str
    archives: tuple[str, ...]
    read: Callable[[str, bool], _Loaded]


def mnist(
    root: str | None = None,
    resize: Literal["pad", "bilinear"] = "pad",
    validation: Whole = 5000,
    train_limit_per_class: Count | None = None,
) -> ImageSplits:
    """MNIST as in MeRGAN: 55,000 / 5,000 / 10,000 grey pictures of 32x32.

    Args:
        root: folder with ``MNIST/raw/*``, unpacked or not; None for the cache.
        resize: 28 to 32 pixels by "pad" (zeros around, as MeRGAN's code does) or "bilinear" (the
            paper only says "resized").
        validation: the first so many training pictures are held out (TensorFlow's tutorial split).
        train_limit_per_class: keep only the first so many training pictures of each class.

    Raises:
        ConfigError: a value is out of range.
        DataError: the files are absent and cannot be downloaded.
    """
    return _mnist_like(_MNIST, root, resize, validation, train_limit_per_class)


def fashion_mnist(
    root: str | None = None,
    resize: Literal["pad", "bilinear"] = "pad",
    validation: Whole = 5000,
    train_limit_per_class: Count | None = None,
) -> ImageSplits:
    """Fashion-MNIST, split and resized like `mnist`; files in ``FashionMNIST/raw``.

    Args:
        root: folder with ``FashionMNIST/raw/*``, unpacked or not; None for the cache.
        resize: "pad" or "bilinear".
        validation: the first so many training pictures are held out.
        train_limit_per_class: keep only the first so many training pictures of each class.

    Raises:
        ConfigError: a value is out of range.
        DataError: the files are absent and cannot be downloaded.
    """
    return _mnist_like(_FASHION, root, resize, validation, train_limit_per_class)


def svhn(
    root: str | None = None,
    validation: Whole = 0,
    train_limit_per_class: Count | None = None,
    seed: Whole = 0,
) -> ImageSplits:
    """SVHN's cropped digits: 73,257 / 26,032 RGB pictures of 32x32, without the extra part.

    Args:
        root: folder with ``train_32x32.mat`` and ``test_32x32.mat``; None for the cache.
        validation: about so many training pictures are held out, the same share of each class;
            MeRGAN trains on all of them, hence 0.
        train_limit_per_class: keep only the first so many training pictures of each class.
        seed: fixes the held-out pictures; independent of the run's seed.

    Raises:
        ConfigError: a value is out of range.
        DataError: the files are absent and cannot be downloaded.
    """
    return _stratified(_SVHN, root, validation, train_limit_per_class, seed)


def cifar10(
    root: str | None = None,
    validation: Whole = 5000,
    train_limit_per_class: Count | None = None,
    seed: Whole = 0,
) -> ImageSplits:
    """CIFAR-10: 45,000 / 5,000 / 10,000 RGB pictures of 32x32.

    Args:
        root: folder with ``cifar-10-batches-py`` or ``cifar-10-python.tar.gz``; None for the cache.
        validation: about so many training pictures are held out, the same share of each class.
        train_limit_per_class: keep only the first so many training pictures of each class.
        seed: fixes the held-out pictures; independent of the run's seed.

    Raises:
        ConfigError: a value is out of range.
        DataError: the files are absent and cannot be downloaded.
    """
    return _stratified(_CIFAR10, root, validation, train_limit_per_class, seed)


def cache_dir() -> Path:
    """Return the default folder for downloads, ``$XDG_CACHE_HOME/lgan/data``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lgan" / "data"


def _mnist_like(
    source: _Source, root: str | None, resize: str, validation: int, limit: int | None
) -> ImageSplits:
    loaded = _obtain(source, root)
    train, test = (
        TensorImages(_RESIZES[resize](part.images), part.labels)
        for part in (loaded.train, loaded.test)
    )
    _check_validation(validation, train)
    rows = torch.arange(len(train))
    return _assemble(source.name, loaded, train, test, rows[validation:], rows[:validation], limit)


def _stratified(
    source: _Source, root: str | None, validation: int, limit: int | None, seed: int
) -> ImageSplits:
    loaded = _obtain(source, root)
    _check_validation(validation, loaded.train)
    fraction = validation / len(loaded.train)
    kept, held = hold_out(loaded.train.labels, fraction, seed)
    return _assemble(source.name, loaded, loaded.train, loaded.test, kept, held, limit)


def _assemble(
    name: str,
    loaded: _Loaded,
    train: Images,
    test: Images,
    kept: Tensor,
    held: Tensor,
    limit: int | None,
) -> ImageSplits:
    limited = kept[limit_per_class(train.labels[kept], limit)]
    return ImageSplits(name, train.subset(limited), train.subset(held), test, loaded.class_names)


def _check_validation(validation: int, train: Images) -> None:
    if not 0 <= validation < len(train):
        raise ConfigError(
            f"data.splits.validation={validation} must lie between 0 and {len(train) - 1}, one "
            "less than the number of training pictures."
        )


def _pad(images: Tensor) -> Tensor:
    return F.pad(images, (2, 2, 2, 2))


def _bilinear(images: Tensor) -> Tensor:
    resized = F.interpolate(images.float(), size=(32, 32), mode="bilinear", align_corners=False)
    return resized.round().clamp(0, 255).to(torch.uint8)


def _obtain(source: _Source, root: str | None) -> _Loaded:
    """Read the set from `root`, from archives there, from the cache or from the network."""
    home = Path(root).expanduser() if root else cache_dir()
    archives = [name for name in source.archives if (home / name).is_file()]
    place = cache_dir() if archives else home
    for folder in dict.fromkeys((home, place)):
        loaded = _try_read(source, folder)
        if loaded is not None:
            return loaded
    try:
        return _fetch(source, place, {name: home / name for name in archives})
    except _FAILURES as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"there is no complete {source.name} in {home} and it could not be downloaded "
            f"({reason[:200]}): put {', '.join(source.archives)} there and set data.root, or use "
            "the embedded set, data=digits."
        ) from error


def _try_read(source: _Source, folder: Path) -> _Loaded | None:
    try:
        return source.read(str(folder), False)
    except _FAILURES:
        return None  # absent or unpacked only in part: fetched anew


def _fetch(source: _Source, place: Path, archives: dict[str, Path]) -> _Loaded:
    """Unpack archives, downloading those that lack, in a folder apart; then move all to `place`.

    A crash or a second process at work leaves no half-unpacked file where it would be read later.
    """
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix=".fetch-") as stage:
        for name, path in archives.items():
            copy = Path(stage, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        with _impatient():
            loaded = source.read(stage, True)
        for path in sorted(Path(stage).rglob("*")):
            target = place / path.relative_to(stage)
            if path.is_dir():
                target.mkdir(exist_ok=True)
            else:
                os.replace(path, target)
    return loaded


@contextmanager
def _impatient() -> Iterator[None]:
    """Give up on a silent network; torchvision itself would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _read_mnist(root: str, download: bool) -> _Loaded:
    return _read_idx(datasets.MNIST, root, download, _DIGITS)


def _read_fashion(root: str, download: bool) -> _Loaded:
    return _read_idx(datasets.FashionMNIST, root, download, tuple(datasets.FashionMNIST.classes))


def _read_idx(
    kind: type[datasets.MNIST], root: str, download: bool, names: tuple[str, ...]
) -> _Loaded:
    train, test = (kind(root, train=part, download=download) for part in (True, False))
    return _Loaded(
        TensorImages(train.data.unsqueeze(1), train.targets),
        TensorImages(test.data.unsqueeze(1), test.targets),
        names,
    )


def _read_svhn(root: str, download: bool) -> _Loaded:
    train, test = (datasets.SVHN(root, part, download=download) for part in ("train", "test"))
    # torchvision has turned label 10, SVHN's zero, into 0.
    return _Loaded(
        _channels_first(train.data, train.labels), _channels_first(test.data, test.labels), _DIGITS
    )


def _read_cifar10(root: str, download: bool) -> _Loaded:
    train, test = (datasets.CIFAR10(root, train=part, download=download) for part in (True, False))
    return _Loaded(
        _channels_first(train.data.transpose(0, 3, 1, 2), train.targets),
        _channels_first(test.data.transpose(0, 3, 1, 2), test.targets),
        tuple(train.classes),
    )


def _channels_first(images: np.ndarray, labels: Sequence[int] | np.ndarray) -> TensorImages:
    return TensorImages(torch.from_numpy(np.ascontiguousarray(images)), torch.as_tensor(labels))


def _idx_archives(kind: type[datasets.MNIST]) -> tuple[str, ...]:
    return tuple(f"{kind.__name__}/raw/{name}" for name, _ in kind.resources)


_RESIZES: dict[str, Callable[[Tensor], Tensor]] = {"pad": _pad, "bilinear": _bilinear}
_MNIST = _Source("mnist", _idx_archives(datasets.MNIST), _read_mnist)
_FASHION = _Source("fashion_mnist", _idx_archives(datasets.FashionMNIST), _read_fashion)
_SVHN = _Source("svhn", ("train_32x32.mat", "test_32x32.mat"), _read_svhn)
_CIFAR10 = _Source("cifar10", (datasets.CIFAR10.filename,), _read_cifar10)
