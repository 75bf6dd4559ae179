"""Pairs of pictures, as pictures of two or six channels: the first half the input, then the target.

Loaders, permutations, limits and augmentation then treat a pair as any picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from lgan.data.decoding import Decoder, fit_picture, open_picture, upright_size
from lgan.data.images import FileImages, Images, TensorImages, in_threads
from lgan.errors import DataError
from lgan.progress import threaded
from lgan.seeding import mix

INPUT, TARGET = 0, 1


def half(pairs: Images, which: int) -> Images:
    """Return the inputs or the targets of pairs as pictures of their own, with the same labels."""
    if isinstance(pairs, TensorImages):
        return TensorImages(pairs.images.chunk(2, 1)[which], pairs.labels)
    if isinstance(pairs, PairFiles):
        return PairFiles(pairs.paths, pairs.labels, pairs.decoder, pairs.reverse, which)
    if isinstance(pairs, UnpairedImages):
        return pairs.inputs if which == INPUT else pairs.targets
    raise TypeError(f"{type(pairs).__name__} holds no pairs")


class PairFiles(FileImages):
    """Pairs decoded on demand from files that show both pictures side by side; labels are tasks."""

    def __init__(
        self,
        paths: Sequence[Path],
        labels: Tensor,
        decoder: Decoder,
        reverse: Sequence[bool],
        which: int | None = None,
    ) -> None:
        super().__init__(paths, labels, decoder)
        # By task whether the right half is the input; `INPUT`, `TARGET` or, None, both are taken.
        self.reverse, self.which = tuple(reverse), which
        channels = decoder.channels if which is not None else 2 * decoder.channels
        self.shape = (channels, decoder.size, decoder.size)

    def load(self) -> TensorImages:
        """Decode all into memory."""
        return TensorImages(in_threads(self._decoded, range(len(self)), self.shape), self.labels)

    def digest(self) -> str:
        """Return the sha256 of the files' bytes, labels, directions and the decoder's settings."""
        count, part = self.decoder.channels, self.which
        shown = slice(None) if part is None else slice(part * count, (part + 1) * count)
        return _hash(super().digest(), repr((self.reverse, shown)))

    def check(self) -> None:
        """Refuse files that cannot be cut in two halves, all at once."""
        sizes = threaded(upright_size, self.paths, "checking pairs")
        odd = [(p, wide) for p, (wide, _) in zip(self.paths, sizes, strict=True) if wide % 2]
        if odd:
            more = f" (and {len(odd) - 1} more files of odd width)" if odd[1:] else ""
            raise DataError(
                f"{odd[0][0]} is {odd[0][1]} pixels wide and cannot be cut in two halves{more}; a "
                "pair is one picture with its two pictures of equal width side by side (pix2pix's "
                "layout)."
            )

    def _decoded(self, index: int) -> Tensor:
        picture = open_picture(self.paths[index], self.decoder.channels, self.decoder.background)
        middle = picture.width // 2
        boxes = [(0, 0, middle, picture.height), (middle, 0, picture.width, picture.height)]
        if self.reverse[int(self.labels[index])]:
            boxes.reverse()
        parts = [fit_picture(picture.crop(box), self.decoder) for box in boxes]
        return torch.cat(parts) if self.which is None else parts[self.which]


class UnpairedImages(Images):
    """Two sets of pictures of the same tasks, of any two sizes; nothing belongs together.

    It has as many items of each task as the larger side has pictures of it. Item i has the i-th
    input and the i-th target of its task, the smaller side from its start again; `shuffled` gives
    every item others. `rows` ``(N, 2)`` are those of each item's input and target.
    """

    def __init__(self, inputs: Images, targets: Images, rows: Tensor | None = None) -> None:
        self.inputs, self.targets = inputs, targets
        self.rows = self._in_turn() if rows is None else rows
        self.labels = targets.labels[self.rows[:, 1]]
        channels, height, width = targets.shape
        self.shape = (2 * channels, height, width)
        self.in_files = inputs.in_files or targets.in_files
        self.device = inputs.device
        self._rows = self.rows.to(self.device)

    @property
    def num_bytes(self) -> int:
        """Memory that the pictures of both sides take as uint8."""
        return self.inputs.num_bytes + self.targets.num_bytes

    def take(self, indices: Tensor) -> Tensor:
        """Return the items at int64 `indices` ``(B,)`` as uint8 ``(B, 2 C, H, W)``."""
        inputs, targets = self._rows[indices.to(self.device)].unbind(1)
        return torch.cat((self.inputs.take(inputs), self.targets.take(targets)), 1)

    def subset(self, indices: Tensor) -> UnpairedImages:
        """Return the items at `indices`, of the same two sets."""
        return UnpairedImages(self.inputs, self.targets, self.rows[indices])

    def of_classes(self, classes: Iterable[int]) -> UnpairedImages:
        """Return both sides of some tasks."""
        wanted = tuple(classes)
        return UnpairedImages(self.inputs.of_classes(wanted), self.targets.of_classes(wanted))

    def to(self, device: torch.device | str) -> UnpairedImages:
        """Return the same pictures held on `device`."""
        return UnpairedImages(self.inputs.to(device), self.targets.to(device), self.rows)

    def load(self) -> UnpairedImages:
        """Return the same pictures, decoded into memory."""
        return UnpairedImages(self.inputs.load(), self.targets.load(), self.rows)

    def digest(self) -> str:
        """Return a hash of both sides."""
        return _hash(self.inputs.digest(), self.targets.digest())

    def shuffled(self, *keys: int | str) -> UnpairedImages:
        """Return items that hold others: each side of each task is permuted for itself.

        Each picture of the larger side is in one item; of those of the smaller side, none is in
        two items more than another. The keys name the permutation.
        """
        rows = self.rows.clone()
        for column, side in enumerate((self.inputs, self.targets)):
            generator = torch.Generator().manual_seed(mix(*keys, column))
            for task in self.labels.unique().tolist():
                places = self.labels == task
                rows[places, column] = _permuted(_rows_of(side, task), int(places.sum()), generator)
        return UnpairedImages(self.inputs, self.targets, rows)

    def _in_turn(self) -> Tensor:
        found = []
        for task in torch.cat((self.inputs.labels, self.targets.labels)).unique().tolist():
            sides = [_rows_of(side, task) for side in (self.inputs, self.targets)]
            turns = torch.arange(max(len(side) for side in sides))
            found.append(torch.stack([side[turns % len(side)] for side in sides], 1))
        return torch.cat(found) if found else torch.empty(0, 2, dtype=torch.int64)


def unpaired(pairs: Images) -> UnpairedImages:
    """Forget which picture belongs to which; unpaired pictures are returned as they are."""
    if isinstance(pairs, UnpairedImages):
        return pairs
    return UnpairedImages(half(pairs, INPUT), half(pairs, TARGET))


def _rows_of(images: Images, task: int) -> Tensor:
    return (images.labels == task).nonzero().flatten()


def _permuted(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return `count` of `rows`: whole permutations of them, one after the other."""
    rounds = -(-count // len(rows))
    orders = [rows[torch.randperm(len(rows), generator=generator)] for _ in range(rounds)]
    return torch.cat(orders)[:count]


def _hash(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()
