"""What every task-aware layer can do, and walks over the trees that hold them.

A `TaskLayer` takes a plain layer's place and tensors; `bake` gives a plain network again.
"""

import copy
from typing import Self

from torch import Tensor, nn


class TaskLayer(nn.Module):
    """A layer that computes differently for each task."""

    def commit(self) -> None:
        """End the current task: what the layer itself has learnt is fixed from now on."""

    def bake(self, task: int) -> nn.Module:
        """Return a plain, independent module that computes the same as a finished task."""
        raise NotImplementedError


class TaskModules(TaskLayer):
    """A module of which every task has its own; how a further task's is made, subclasses say."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.tasks = nn.ModuleList([module])
        self.finished = 0  # modules of finished tasks

    def commit(self) -> None:
        """Freeze the current task's module, and put it in eval mode."""
        self.finished = len(self.tasks)
        self.tasks[-1].requires_grad_(False).eval()

    def forward(self, *inputs: Tensor) -> Tensor:
        """Compute as the current task."""
        return self.tasks[-1](*inputs)

    def bake(self, task: int) -> nn.Module:
        """Return a copy of a task's module."""
        return copy.deepcopy(self.tasks[task]).requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Switch the current task's module; those of finished tasks stay in eval mode."""
        self.training = mode
        for index, module in enumerate(self.tasks):
            module.train(mode and index >= self.finished)
        return self


def replace(network: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` in the place of the submodule with this dotted name."""
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)


def bake(network: nn.Module, task: int) -> nn.Module:
    """Return a plain copy of a network as a finished task sees it; nothing is shared."""
    # The copy finds the task-aware layers' plain ones made: no other task's tensors are copied.
    made = {id(m): m.bake(task) for m in network.modules() if isinstance(m, TaskLayer)}
    return copy.deepcopy(network, made).requires_grad_(False)
