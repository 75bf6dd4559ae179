"""Randomness as a function of (seed, purpose, task, step).

Nothing random in lgan depends on what was drawn before: each step reseeds its generators from a
hash of plain values. There is then no generator state to save, and resuming is exact.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def mix(*keys: int | str) -> int:
    """Return a 63-bit seed from plain values, the same in every process and on every machine."""
    digest = hashlib.blake2b(repr(keys).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class Noise:
    """A source of noise that is drawn for the global batch and sliced by rank.

    N ranks that each ask for ``B / N`` rows see together what one rank sees that asks for ``B``.

    Args:
        seed: seed of the first draws; `reseed` sets another.
        device: where tensors are drawn.
        rank: this process's rank.
        world: number of processes.
    """

    def __init__(
        self, seed: int, device: torch.device | str = "cpu", rank: int = 0, world: int = 1
    ) -> None:
        self.rank, self.world = rank, world
        self._generator = torch.Generator(device=device)
        self.reseed(seed)

    @property
    def device(self) -> torch.device:
        """Where the tensors are drawn."""
        return self._generator.device

    def reseed(self, *keys: int | str) -> None:
        """Restart the stream at a point named by plain values."""
        self._generator.manual_seed(mix(*keys))

    def normal(self, *shape: int) -> Tensor:
        """Standard normal noise; `shape[0]` is this rank's number of rows."""
        return self._slice(torch.randn(self._global(shape), **self._where()))

    def uniform(self, *shape: int) -> Tensor:
        """Uniform noise in [0, 1); `shape[0]` is this rank's number of rows."""
        return self._slice(torch.rand(self._global(shape), **self._where()))

    def integers(self, high: int, count: int) -> Tensor:
        """Uniform integers in [0, high); `count` is this rank's number of rows."""
        return self._slice(torch.randint(0, high, (count * self.world,), **self._where()))

    def _global(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0] * self.world, *shape[1:])

    def _where(self) -> dict:
        return {"generator": self._generator, "device": self._generator.device}

    def _slice(self, drawn: Tensor) -> Tensor:
        return drawn if self.world == 1 else drawn.chunk(self.world)[self.rank]
