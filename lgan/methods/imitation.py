"""A generator beside a frozen one that it is to imitate: what replay and distillation share."""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from lgan.data.tasks import TaskInfo
from lgan.methods.base import LifelongGAN
from lgan.networks.modes import as_in_training, random_devices

Drawn = TypeVar("Drawn")


def side_by_side(
    draw: Callable[[nn.Module], Drawn], teacher: nn.Module, student: nn.Module, device: torch.device
) -> tuple[Drawn, Drawn]:
    """Return what a frozen generator and the one in training make of the same inputs.

    Both compute as in training, under the same dropout masks, and no running statistics change,
    since inputs may be such as it is not used on. What else is random in `draw` was drawn before.
    """
    with as_in_training(teacher, student):
        with torch.no_grad(), torch.random.fork_rng(random_devices(device)):
            taught = draw(teacher)
        return taught, draw(student)


class Snapshot(LifelongGAN):
    """A method that has the generator as the last task left it."""

    snapshot: nn.Module | None

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        # A class attribute `snapshot = None` would hide the submodule of that name for ever.
        self.register_module("snapshot", None)

    def begin_task(self, info: TaskInfo) -> None:
        """Take the snapshot."""
        super().begin_task(info)
        if info.index > 0:
            self.snapshot = copy.deepcopy(self.generator).requires_grad_(False)

    def end_task(self, info: TaskInfo) -> None:
        """Drop the snapshot: the generator itself is the next one."""
        super().end_task(info)
        self.snapshot = None
