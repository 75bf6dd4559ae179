"""Stand-ins for CUDA graphs, on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lgan.seeding import Noise

READS = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero")
"""Operators that let the host wait for numbers: a recording cannot hold them."""


class Done:
    """Records nothing: what is replayed is done anew."""

    def warm_up(self, work: Callable[[], Any]) -> Any:
        return work()

    def record(self, work: Callable[[], Any], noise: Noise) -> dict[str, Tensor]:
        self.work, self.losses = work, {}
        return self.losses

    def replay(self) -> None:
        self.losses |= self.work()


class Operators(TorchDispatchMode):
    """Records the operators, and does them again on the very same tensors.

    Python runs once, as with a CUDA graph: what it decided, and every number it put in, stays.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple, dict, Any]] = []
        self.before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        """What was in the memory that is written to, by its address."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:
        name = func.overloadpacket.__name__
        if name in READS:
            raise RuntimeError(f"{name}: the host may not read while a step is recorded")
        kwargs = kwargs or {}
        for given, declared in zip(args, func._schema.arguments, strict=False):
            if declared.alias_info is not None and declared.alias_info.is_write:
                for storage in map(Tensor.untyped_storage, tree_leaves(given)):
                    self.before.setdefault(storage.data_ptr(), (storage, storage.clone()))
        result = func(*args, **kwargs)
        self.calls.append((func, args, kwargs, result))
        return result

    def warm_up(self, work: Callable[[], Any]) -> Any:
        return work()

    def record(self, work: Callable[[], Any], noise: Noise) -> Any:
        """Do the work, and undo it: a CUDA graph records without doing."""
        state = noise.generator.get_state()
        with self, torch.random.fork_rng():
            result = work()
        noise.generator.set_state(state)
        for storage, old in self.before.values():
            storage.copy_(old)
        return result

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, result in self.calls:
            again = func(*args, **kwargs)
            if any(r.alias_info is not None for r in func._schema.returns):
                continue  # a view, or what was written to in place: it is there already
            for own, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(own, Tensor):
                    own.copy_(new)
