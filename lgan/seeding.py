"""Randomness as a function of (seed, purpose, task, step).

Nothing random in lgan depends on what was drawn before: each step reseeds its generators from a
hash of plain values. There is then no generator state to save, and resuming is exact.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def mix(*keys: int | str) -> int:
    """Return a 63-bit seed from plain values, the same in every process and on every machine."""
    digest = hashlib.blake2b(repr(keys).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def in_rotation(items: Sequence[T], count: int, step: int, *keys: int | str) -> list[T]:
    """Return the `count` items whose turn it is at a step: they go round, in the keys' order."""
    generator = torch.Generator().manual_seed(mix(*keys))
    order = torch.randperm(len(items), generator=generator).tolist()
    turns = range(step * count, (step + 1) * count)
    return [items[order[turn % len(items)]] for turn in turns]


class Noise:
    """A source of noise that is drawn for the global batch and sliced by rank.

    Of N ranks rank r gets rows r, r + N, ... of what one rank would see, as the loader deals out
    the data. What stands first in a batch is then first in every rank's share.
    """

    def __init__(
        self, seed: int, device: torch.device | str = "cpu", rank: int = 0, world: int = 1
    ) -> None:
        self.rank, self.world = rank, world
        self._total: int | None = None
        self.generator = torch.Generator(device=device)
        self.reseed(seed)

    @property
    def device(self) -> torch.device:
        """Where the tensors are drawn."""
        return self.generator.device

    def reseed(self, *keys: int | str) -> None:
        """Restart the stream at a point named by plain values."""
        self.generator.manual_seed(mix(*keys))

    def part(self, total: int, start: int = 0) -> Noise:
        """Return this stream for a part of the global batch that need not be shared evenly.

        Each draw has `total` global rows, whatever number of rows this rank asks for; the part's
        first row in the global batch, `start`, says whose turn is first.
        """
        view = copy.copy(self)
        view.rank, view._total = (self.rank - start) % self.world, total
        return view

    def whole(self) -> Noise:
        """Return this stream for draws that every rank needs as a whole."""
        view = copy.copy(self)
        view.rank, view.world, view._total = 0, 1, None
        return view

    def normal(self, *shape: int) -> Tensor:
        """Standard normal noise; `shape[0]` is this rank's number of rows."""
        return self._draw(torch.randn, shape)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform noise in [0, 1); `shape[0]` is this rank's number of rows."""
        return self._draw(torch.rand, shape)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Uniform integers in [0, high); `shape[0]` is this rank's number of rows."""
        return self._draw(partial(torch.randint, high), shape)

    def _draw(self, function: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        rows = shape[0] * self.world if self._total is None else self._total
        drawn = function((rows, *shape[1:]), generator=self.generator, device=self.device)
        return drawn if self.world == 1 else drawn[self.rank :: self.world]
