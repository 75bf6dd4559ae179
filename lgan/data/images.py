"""Labelled pictures, uint8 ``(C, H, W)``, in memory or in files, behind one small interface."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Self, TypeVar

import torch
from torch import Tensor

from lgan.data.decoding import Decoder, decode
from lgan.data.found import Found
from lgan.progress import threaded

Item = TypeVar("Item")


def to_float(images: Tensor) -> Tensor:
    """Map uint8 to float32 in [-1, 1]: ``x / 127.5 - 1``."""
    return images.float().div_(127.5).sub_(1.0)


@lru_cache(maxsize=4096)
def placed(numbers: tuple[int, ...], device: torch.device) -> Tensor:
    """Return whole numbers, such as classes or rows, on a device, sent there once: do not write."""
    return torch.tensor(numbers, dtype=torch.int64, device=device)


def to_uint8(images: Tensor) -> Tensor:
    """Map float in [-1, 1] to uint8, the inverse of `to_float`; values outside are clipped."""
    return images.detach().add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def at_once(most: int, shape: tuple[int, int, int]) -> int:
    """Return how many pictures (C, H, W) to look at: `most`, or as many pixels as of 32 x 32."""
    return max(1, most * 32**2 // max(32**2, shape[1] * shape[2]))


class Images(ABC):
    """A fixed, ordered collection of labelled pictures of one shape."""

    labels: Tensor  # int64 ``(N,)``, the data set's own class ids
    shape: tuple[int, int, int]  # ``(C, H, W)`` of every picture
    in_files: bool = False  # whether pictures are decoded when they are taken
    device: torch.device = torch.device("cpu")  # where pictures are taken, indices kept ready

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_bytes(self) -> int:
        """Memory that all pictures take as uint8."""
        channels, height, width = self.shape
        return len(self) * channels * height * width

    @abstractmethod
    def take(self, indices: Tensor) -> Tensor:
        """Return the pictures at int64 `indices` ``(B,)`` as uint8 ``(B, C, H, W)``."""

    @abstractmethod
    def subset(self, indices: Tensor) -> Images:
        """Return the pictures at `indices`, in that order."""

    @abstractmethod
    def digest(self) -> str:
        """Return a hex hash of the content, pictures and labels."""

    def to(self, device: torch.device | str) -> Images:
        """Return the same pictures held on `device`; those in files stay there."""
        return self

    def load(self) -> Images:
        """Return the same pictures, decoded into memory."""
        return self

    def shuffled(self, *keys: int | str) -> Images:
        """Return the same pictures; only those of `UnpairedImages` have partners to exchange."""
        return self

    def of_classes(self, classes: Iterable[int]) -> Images:
        """Return the pictures whose label is one of `classes`, in their stored order."""
        wanted = torch.tensor(sorted(classes), dtype=torch.int64)
        return self.subset(torch.isin(self.labels, wanted).nonzero().flatten())

    def all(self) -> Tensor:
        """Return every picture, uint8 ``(N, C, H, W)``."""
        return self.take(torch.arange(len(self)))

    def batches(self, size: int) -> tuple[Tensor, ...]:
        """Return all indices in turn, so many at once as `at_once` says."""
        return torch.arange(len(self)).split(at_once(size, self.shape))


class TensorImages(Images):
    """Pictures in memory, uint8 ``(N, C, H, W)``, never written to; labels ``(N,)`` on the CPU."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        if images.dtype != torch.uint8 or images.ndim != 4 or len(images) != len(labels):
            raise ValueError(
                f"need uint8 (N, C, H, W) and (N,) labels, got {images.dtype} "
                f"{tuple(images.shape)} and {tuple(labels.shape)}"
            )
        self.images, self.device = images, images.device
        self.labels = labels.to("cpu", torch.int64)
        self.shape = (images.shape[1], images.shape[2], images.shape[3])

    def take(self, indices: Tensor) -> Tensor:
        """Return the pictures at `indices`, on the device they are held on."""
        return self.images[indices.to(self.images.device)]

    def subset(self, indices: Tensor) -> TensorImages:
        """Return a copy of the pictures at `indices`."""
        return TensorImages(self.take(indices), self.labels[indices])

    def to(self, device: torch.device | str) -> TensorImages:
        """Return the same pictures held on `device`."""
        return TensorImages(self.images.to(device), self.labels)

    def digest(self) -> str:
        """Return the sha256 of shape, pictures and labels."""
        sha = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        for part in (self.images, self.labels):
            sha.update(part.cpu().contiguous().numpy().data)
        return sha.hexdigest()


class FileImages(Images):
    """Pictures decoded on demand, one file per picture: the streaming path."""

    in_files = True

    def __init__(self, paths: Sequence[Path], labels: Tensor, decoder: Decoder) -> None:
        self.paths, self.labels = tuple(paths), labels.to(torch.int64)
        self.decoder, self.shape = decoder, decoder.shape

    def take(self, indices: Tensor) -> Tensor:
        """Decode the pictures at `indices`."""
        if not len(indices):
            return torch.empty(0, *self.shape, dtype=torch.uint8)
        return torch.stack([self._decoded(i) for i in indices.tolist()])

    def subset(self, indices: Tensor) -> Self:
        """Return the files at `indices`; nothing is decoded."""
        chosen = copy(self)
        chosen.paths = tuple(self.paths[i] for i in indices.tolist())
        chosen.labels = self.labels[indices]
        return chosen

    def _decoded(self, index: int) -> Tensor:
        return decode(self.paths[index], self.decoder)

    def digest(self) -> str:
        """Return the sha256 of the decoder's settings, the bytes of the files, and labels."""
        sha = hashlib.sha256(repr(self.decoder).encode())
        digests = file_digests(self.paths)
        for path in self.paths:
            sha.update(digests[path])
        sha.update(self.labels.numpy().data)
        return sha.hexdigest()

    def load(self) -> TensorImages:
        """Decode every picture into memory; a second call in this process reuses the first."""
        status = ((path, path.stat()) for path in self.paths)
        stamps = tuple((path, (one.st_size, one.st_mtime_ns)) for path, one in status)
        return TensorImages(_decode_all(stamps, self.decoder), self.labels)


@dataclass(frozen=True)
class ImageSplits:
    """A data set in three parts, with labels ``0 .. len(class_names) - 1``."""

    name: str
    train: Images
    validation: Images  # may be empty
    test: Images
    class_names: tuple[str, ...]
    found: Found | None = None  # of those that lie in folders

    @property
    def parts(self) -> tuple[Images, Images, Images]:
        """Training, validation and test pictures."""
        return self.train, self.validation, self.test

    def each(self, change: Callable[[Images], Images]) -> ImageSplits:
        """Return the same set with every part changed."""
        train, validation, test = map(change, self.parts)
        return replace(self, train=train, validation=validation, test=test)


# One training, one validation and one test part: the copies that a process may want twice.
@lru_cache(maxsize=3)
def _decode_all(stamps: tuple[tuple[Path, tuple[int, int]], ...], decoder: Decoder) -> Tensor:
    """Decode files into uint8 ``(N, C, H, W)``; the stamps make a changed file a new key."""
    return in_threads(lambda stamp: decode(stamp[0], decoder), stamps, decoder.shape)


def in_threads(
    work: Callable[[Item], Tensor], items: Sequence[Item], shape: tuple[int, int, int]
) -> Tensor:
    """Return the pictures that ``work(item)`` makes, uint8 ``(N, *shape)``, each written once."""
    images = torch.empty(len(items), *shape, dtype=torch.uint8)
    for row, image in enumerate(threaded(work, items, "decoding pictures")):
        images[row] = image
    return images


def file_digests(paths: Sequence[Path]) -> dict[Path, bytes]:
    """Return the sha256 of each file's bytes."""
    return dict(zip(paths, threaded(_hash_file, paths, "hashing pictures"), strict=True))


def _hash_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
