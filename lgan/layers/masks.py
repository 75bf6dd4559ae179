"""Masks learnt through embeddings: scaled sigmoid, annealing, compensation, packed bits.

Source: Ostapenko et al. 2019 (DGM, Sec. 4), after Serra et al. 2018 (HAT); papers/dgm.md, 2.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, cast

import torch
from annotated_types import Gt
from torch import Tensor, nn

from lgan.arguments import Count, Finite

CLAMP = 50.0  # HAT's clip of s * e before the hyperbolic cosine


def pack_bits(mask: Tensor) -> Tensor:
    """Return a boolean tensor as uint8 (ceil(n / 8),), the first element in the lowest bit."""
    flat = mask.flatten().to(torch.uint8)
    flat = torch.cat([flat, flat.new_zeros(-len(flat) % 8)]).view(-1, 8)
    return (flat << torch.arange(8, device=flat.device, dtype=torch.uint8)).sum(1).to(torch.uint8)


def unpack_bits(bits: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the boolean tensor that `pack_bits` packed."""
    places = torch.arange(8, device=bits.device, dtype=torch.uint8)
    return ((bits[:, None] >> places) & 1).flatten()[: math.prod(shape)].view(shape).bool()


@dataclass(frozen=True)
class Annealing:
    """The mask's scale s as a function of the progress within a task.

    Global: s_max^i rises from 1/s_max to s_max over the epochs i; local: s rises from 1/s_max^i to
    s_max^i over an epoch's batches; backwards in the first, in the paper as in the code.
    """

    scale: Annotated[float, Finite, Gt(1)]  # s_max
    epochs: Count  # I, that a task's steps are divided into
    local: bool = True  # whether s is annealed within an epoch (DGMw); else s = s_max^i (DGMa)
    end: Literal["paper", "code", "code_imagenet"] = "paper"
    """"paper": (i-1)/(I-1) and (b-1)/(B-1) for i, b from 1, both ends are reached; "code": (i-1)/I
    and (b-1)/B, as the digits' code; "code_imagenet": i/I and (b-1)/B."""

    def at(self, step: int, steps: int) -> tuple[float, float]:
        """Return (s_max^i, s) of a step in 0 .. steps - 1."""
        epochs = min(self.epochs, steps)
        epoch = step * epochs // steps
        first = -(-epoch * steps // epochs)
        batches = -(-(epoch + 1) * steps // epochs) - first
        late = self.end == "code_imagenet"
        done = (epoch + 1) / epochs if late else self._fraction(epoch, epochs)
        top = self._rise(self.scale, done)
        return top, self._rise(top, self._fraction(step - first, batches)) if self.local else top

    def epoch(self, step: int, steps: int) -> int:
        """Return the epoch, from 0, that a step belongs to."""
        return step * min(self.epochs, steps) // steps

    def _fraction(self, index: int, count: int) -> float:
        last = count - 1 if self.end == "paper" else count
        # One epoch, or one batch per epoch, would be 0/0: the end is what counts then.
        return index / last if last > 0 and count > 1 else 1.0

    @staticmethod
    def _rise(top: float, fraction: float) -> float:
        return 1 / top + (top - 1 / top) * fraction


class TaskMasks(nn.Module):
    """The masks of one tensor (or one row of units) over the tasks.

    The current task's is sigmoid(s * e), soft; a finished one's, e >= 0, is kept as packed bits.
    """

    embedding: nn.Parameter | None
    free: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []
        self.scale = 1.0
        self.register_parameter("embedding", None)
        self.register_buffer("free", None, persistent=False)

    @property
    def finished(self) -> int:
        """Number of tasks whose mask is binary."""
        return len(self.shapes) - (self.embedding is not None)

    def add_task(self, shape: tuple[int, ...], device: torch.device, start: float = 0.0) -> None:
        """Start a task on a tensor of `shape`, every embedding at `start`."""
        assert self.embedding is None, "the last task was not committed"
        self.free = (~self.cumulated(shape)).float().to(device)
        self.shapes.append(tuple(shape))
        self.embedding = nn.Parameter(torch.full(shape, start, device=device))

    def commit(self) -> None:
        """Binarise the current task's mask and keep its bits."""
        assert self.embedding is not None
        bits = pack_bits(
            self.embedding.detach() >= 0
        )  # what never moved is reserved, as in the code
        self.embedding = self.free = None
        self.register_buffer(f"bits{len(self.shapes) - 1}", bits)

    def soft(self) -> Tensor:
        """Return the current task's mask, in (0, 1)."""
        assert self.embedding is not None
        return torch.sigmoid(self.scale * self.embedding)

    def of(self, task: int) -> Tensor:
        """Return a finished task's mask, boolean, in that task's shape."""
        return unpack_bits(self.get_buffer(f"bits{task}"), self.shapes[task])

    def cumulated(self, shape: tuple[int, ...] | None = None, tasks: int | None = None) -> Tensor:
        """Return the first `tasks` masks' union (None: of all), in `shape` (None: the last's)."""
        tasks = self.finished if tasks is None else tasks
        union = torch.zeros(shape or self.shapes[-1], dtype=torch.bool)
        for task in range(tasks):
            union[tuple(slice(0, n) for n in self.shapes[task])] |= self.of(task).cpu()
        return union

    @torch.no_grad()
    def compensate(self, top: float) -> None:
        """Scale the gradient by top / s * (cosh(clip(s e, -50, 50)) + 1) / (cosh(e) + 1) (HAT)."""
        if self.embedding is None or self.embedding.grad is None:
            return
        scaled = (self.scale * self.embedding).clamp(-CLAMP, CLAMP)
        factor = (torch.cosh(scaled) + 1) / (torch.cosh(self.embedding) + 1)
        self.embedding.grad.mul_(factor).mul_(top / self.scale)


def sparsity(masks: Iterable[TaskMasks]) -> Tensor:
    """Return R = sum m (1 - m_old) / sum (1 - m_old), in [0, 1]: what is newly taken costs."""
    pairs = [(mask.soft(), cast(Tensor, mask.free)) for mask in masks]
    taken = torch.stack([(soft * free).sum() for soft, free in pairs]).sum()
    return taken / torch.stack([free.sum() for _, free in pairs]).sum().clamp(min=1)
