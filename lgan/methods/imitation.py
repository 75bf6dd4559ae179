"""A generator beside a frozen one that it is to imitate: what RA and distillation share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from lgan.networks.modes import as_in_training, random_devices

Drawn = TypeVar("Drawn")


def side_by_side(
    draw: Callable[[nn.Module], Drawn], teacher: nn.Module, student: nn.Module, device: torch.device
) -> tuple[Drawn, Drawn]:
    """Return what a frozen generator and the one in training make of the same inputs.

    Both compute as in training, under the same dropout masks: equal weights give equal pictures.
    No running statistics change, since the inputs may be none that the generator is used on.

    Args:
        draw: what is made with a network; what is random in it, but dropout, was drawn before.
        teacher: gets no gradient.
        student: gets one.
        device: where they are.
    """
    with as_in_training(teacher, student):
        with torch.no_grad(), torch.random.fork_rng(random_devices(device)):
            taught = draw(teacher)
        return taught, draw(student)
