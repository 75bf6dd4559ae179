"""Several processes that train one network: who am I, and what do the others have.

A single process is rank 0 of 1, with nothing to wait for. Rows of a global batch are taken in turn:
rank r holds rows r, r + N, r + 2N, ... of it, so that what stands first does so in every share.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lgan.errors import LganError, RunError

T = TypeVar("T")


def world() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return this process's number, from 0."""
    return dist.get_rank() if world() > 1 else 0


def is_main() -> bool:
    """Return whether this process writes the run's files."""
    return rank() == 0


def barrier() -> None:
    """Wait for all processes."""
    if world() > 1:
        dist.barrier()


def share(rows: T) -> T:
    """Return this rank's rows of a global tensor (N, ...), or items of a sequence, in order."""
    return cast(Any, rows)[rank() :: world()]


@torch.no_grad()
def gather(tensor: Tensor) -> Tensor:
    """Return the global tensor (N, ...), in order, of which ranks hold a `share`; no gradients."""
    if world() == 1:
        return tensor
    longest = int(largest(len(tensor), tensor.device))
    padded = tensor.new_zeros(longest, *tensor.shape[1:])
    padded[: len(tensor)] = tensor
    parts = [torch.empty_like(padded) for _ in range(world())]
    dist.all_gather(parts, padded.contiguous())
    total = int(total_of(torch.tensor(len(tensor), device=tensor.device)))
    return torch.stack(parts, dim=1).flatten(0, 1)[:total]


@torch.no_grad()
def total_of(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor over all ranks; the argument may be overwritten."""
    if world() > 1:
        dist.all_reduce(tensor)
    return tensor


def largest(value: int, device: torch.device | str = "cpu") -> int:
    """Return the largest of the ranks' values."""
    if world() == 1:
        return value
    tensor = torch.tensor(value, device=device)
    dist.all_reduce(tensor, dist.ReduceOp.MAX)
    return int(tensor)


def from_main(value: Any) -> Any:  # noqa: ANN401  (whatever rank 0 says)
    """Return rank 0's plain value on every rank."""
    if world() == 1:
        return value
    holder = [value]
    dist.broadcast_object_list(holder, src=0)
    return holder[0]


def decided(function: Callable[[], T]) -> T:
    """Call a function on rank 0 alone; return its picklable result, or raise its error, on all."""
    value: T | None = None
    error: LganError | None = None
    if is_main():
        try:
            value = function()
        except LganError as raised:
            error = raised
    value, error = from_main((value, error))
    if error is not None:
        raise error
    return cast(T, value)


def all_values(value: Any) -> list[Any]:  # noqa: ANN401
    """Return the plain values of all ranks, in order of rank."""
    if world() == 1:
        return [value]
    values: list[Any] = [None] * world()
    dist.all_gather_object(values, value)
    return values


def spread(function: Callable[[Any], T], items: Sequence[Any]) -> list[T]:
    """Return what a function makes of each item, shared out over ranks: picklable, on the CPU."""
    return dealt([function(item) for item in share(items)], len(items))


def dealt(own: list[T], total: int) -> list[T]:
    """Return what all ranks made of their `share` of so many items, in the items' order."""
    hands = all_values(own)
    return [hands[place % world()][place // world()] for place in range(total)]


@contextmanager
def main_first() -> Iterator[None]:
    """Let rank 0 run a block before the others do: what it leaves in a cache, they find there."""
    if not is_main():
        barrier()
    yield
    if is_main():
        barrier()


@torch.no_grad()
def synchronise_buffers(module: nn.Module) -> None:
    """Give every rank rank 0's buffers; DDP does so only once per fit in manual optimization."""
    if world() > 1:
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)


def fingerprint(tensors: Iterator[tuple[str, Tensor]]) -> str:
    """Return a hash of the exact bits of named tensors."""
    sha = hashlib.blake2b(digest_size=16)
    for name, tensor in tensors:
        flat = tensor.detach().contiguous().cpu().reshape(-1)
        sha.update(name.encode() + flat.view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def differing_buffers(module: nn.Module) -> list[dict[str, Tensor]]:
    """Return by rank the buffers that are not the same on all ranks; [] where all are."""
    # Running statistics of what each rank has seen: a checkpoint needs all ranks' own.
    if world() == 1:
        return []
    saved = module.state_dict()
    buffers = {name: b.detach().cpu() for name, b in module.named_buffers() if name in saved}
    hashes = all_values({name: fingerprint(iter([(name, b)])) for name, b in buffers.items()})
    odd = [name for name in buffers if len({found[name] for found in hashes}) > 1]
    return all_values({name: buffers[name] for name in odd}) if odd else []


def check_equal(module: nn.Module, when: str) -> None:
    """Raise on every rank unless all hold the same parameters and buffers, bit for bit."""
    if world() == 1:
        return
    found = all_values(fingerprint(iter(module.state_dict().items())))
    if odd := [rank for rank, value in enumerate(found) if value != found[0]]:
        raise RunError(
            f"{when} rank {odd[0]} holds other parameters than rank 0: the run would go on with "
            "numbers that depend on the rank. The state of the last finished task is kept; please "
            "report this with config.yaml."
        )
