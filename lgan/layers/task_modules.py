"""Modules of which every task has its own: what norms and last layers under all methods share."""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn

from lgan.layers.protocol import TaskLayer
from lgan.networks.heads import clone


class TaskModules(TaskLayer):
    """A module of which every task has its own; how a further task's is made, subclasses say.

    Args:
        module: the first task's.
    """

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
        return clone(self.tasks[task])

    def train(self, mode: bool = True) -> Self:
        """Switch the current task's module; those of finished tasks stay in eval mode."""
        self.training = mode
        for index, module in enumerate(self.tasks):
            module.train(mode and index >= self.finished)
        return self
