"""Batches as a pure function of (seed, task, step): nothing to replay, nothing to skip.

The batch of a step is read off a permutation made from (seed, task, epoch). There is no data
position to save but the step itself, and N ranks see together what one rank sees: rank r gets rows
r, r + N, ... of each batch, as `lgan.seeding.Noise` deals out noise.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lgan.data.images import Images
from lgan.errors import ConfigError
from lgan.seeding import mix

Batch = dict[str, Tensor]
REPEATED = 1024  # pictures in a batch that may have to be repeated
Again = Callable[[int, int], tuple[str | int, ...]]
"""What a seed is mixed with at a (task, step) beyond these two: see `lgan.run.rewinds`."""


def first_attempt(task: int, step: int) -> tuple[str | int, ...]:
    """Return nothing: training was not rewound."""
    return ()


@dataclass(eq=False)
class BatchLoader:
    """A stateful iterable over one task: one item per generator step.

    Item s is a list of `draws` batches ``{"x": uint8 (b, C, H, W), "y": int64 (b,)}`` with ``b =
    batch_size / world``. An epoch leaves out pictures that do not fill a batch, each epoch others.
    Fewer pictures than a batch holds fill it by repetition, one permutation after the other. Each
    epoch has its own partners where pictures are unpaired. Those in files may be decoded ahead by
    worker processes: the batches are the same, bit for bit.
    """

    images: Images
    batch_size: int  # the global one
    draws: int
    steps: int
    seed: int
    task: int
    rank: int = 0
    world: int = 1
    num_workers: int = 0  # 0 decodes in this process
    again: Again = first_attempt

    def __post_init__(self) -> None:
        check_batch_size(self.batch_size, len(self.images), self.world)
        self.repeats = -(-self.batch_size // len(self.images))  # of pictures in an epoch, at most
        self.step = 0
        self._permutation: tuple[Any, Tensor] = (None, torch.empty(0, dtype=torch.int64))
        # Held where the pictures are: a step sends nothing.
        self._labels = self.images.labels.to(self.images.device)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Batch]]:
        steps = range(self.step, self.steps)
        items = self._ahead(steps) if self.num_workers else map(self.__getitem__, steps)
        for item in items:
            # Counted before the yield: a state saved while item s is used resumes at s + 1.
            self.step += 1
            yield item
        self.step = 0

    def __getitem__(self, step: int) -> list[Batch]:
        first = step * self.draws
        return [self._batch(draw) for draw in range(first, first + self.draws)]

    @property
    def batches(self) -> int:
        """Number of batches in an epoch."""
        return max(1, len(self.images) // self.batch_size)

    def state_dict(self) -> dict[str, int]:
        """Return ``{"step": items handed out}``."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the items that were handed out."""
        self.step = state["step"]

    def _ahead(self, steps: range) -> DataLoader:
        return DataLoader(
            self,  # type: ignore[arg-type]  # a map from step to item is all that is asked for
            batch_size=None,
            sampler=steps,
            num_workers=self.num_workers,
            # Without one of its own the loader would draw from torch's global stream.
            generator=torch.Generator(),
        )

    def _batch(self, draw: int) -> Batch:
        epoch, position = divmod(draw, self.batches)
        start = position * self.batch_size
        again = self.again(self.task, draw // self.draws)
        rows = self._epoch(epoch, *again)[start : start + self.batch_size][self.rank :: self.world]
        return {"x": self.images.take(rows), "y": self._labels[rows]}

    def _epoch(self, epoch: int, *again: str | int) -> Tensor:
        if self._permutation[0] != (epoch, *again):
            seed = mix(self.seed, "data", self.task, epoch, *again)
            generator = torch.Generator().manual_seed(seed)
            count, rounds = len(self.images), range(self.repeats)
            order = torch.cat([torch.randperm(count, generator=generator) for _ in rounds])
            self.images = self.images.shuffled(self.seed, "unpaired", self.task, epoch)
            self._permutation = ((epoch, *again), order.to(self.images.device))
        return self._permutation[1]


def check_batch_size(batch_size: int, count: int, world: int = 1) -> None:
    """Refuse a batch that is none, that `count` pictures make no sense of, or ranks cannot share.

    A few pictures fill a batch by repetition; a batch far beyond them all is a mistake.
    """
    most = max(count, REPEATED)
    if not count or not 1 <= batch_size <= most:
        raise ConfigError(
            f"training.batch_size={batch_size} must lie between 1 and {most}, with {count} "
            "training pictures."
        )
    if batch_size % world:
        raise ConfigError(
            f"training.batch_size={batch_size} is the global batch and must be a multiple of the "
            f"{world} processes (trainer.devices)."
        )
