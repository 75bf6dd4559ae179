"""What every task-aware layer can do, and walks over the trees that hold them.

Networks are built plain, then converted: a layer that a method wants to own is replaced by a
`TaskLayer` that took over its tensors. `bake(network, t)` gives a plain network again.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

from torch import nn


class TaskLayer(nn.Module):
    """A layer that computes differently for each task."""

    def commit(self) -> None:
        """End the current task: what it has learnt is fixed from now on."""
        raise NotImplementedError

    def bake(self, task: int) -> nn.Module:
        """Return a plain, independent module that computes the same as a finished task."""
        raise NotImplementedError


def task_layers(network: nn.Module) -> Iterator[TaskLayer]:
    """Yield each task-aware layer of a network once."""
    for module in network.modules():
        if isinstance(module, TaskLayer):
            yield module


def replace(network: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` in the place of the submodule with this dotted name."""
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)


def bake(network: nn.Module, task: int) -> nn.Module:
    """Return a plain copy of a network as a finished task sees it; nothing is shared."""
    if isinstance(network, TaskLayer):
        return network.bake(task)
    # Copied by hand: a deep copy would copy every task's tensors, only to drop them.
    baked = copy.copy(network)
    baked._parameters = {
        name: p if p is None else nn.Parameter(p.detach().clone(), requires_grad=False)
        for name, p in network._parameters.items()
    }
    baked._buffers = {name: b if b is None else b.clone() for name, b in network._buffers.items()}
    baked._modules = {
        name: child if child is None else bake(child, task)
        for name, child in network._modules.items()
    }
    return baked
