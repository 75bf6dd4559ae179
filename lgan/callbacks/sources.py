"""What generators are given at a task border: noise, or the pictures that they translate."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lgan.callbacks.base import Learner
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.images import to_float
from lgan.networks.factory import noise_length
from lgan.seeding import Noise

Source = Callable[[Tensor], Tensor]


class PictureSource:
    """The test inputs of each task, one after the other, and from the first again.

    Args:
        datamodule: of a sequence of translation tasks, whose labels are the tasks.
        device: where the pictures are needed.
    """

    def __init__(self, datamodule: TaskSequenceDataModule, device: torch.device) -> None:
        self.datamodule, self.device = datamodule, device
        self.used: dict[int, int] = {}

    def __call__(self, labels: Tensor) -> Tensor:
        """Return the next input (B, C, H, W) in [-1, 1] of each label's task."""
        places = labels.cpu()
        chosen: dict[int, Tensor] = {}
        for label in places.unique().tolist():
            inputs, first = self.datamodule.test_inputs(label), self.used.get(label, 0)
            count = int((places == label).sum())
            self.used[label] = first + count
            chosen[label] = inputs[torch.arange(first, first + count) % len(inputs)]
        pictures = torch.empty(len(places), *inputs.shape[1:], dtype=inputs.dtype)
        for label, taken in chosen.items():
            pictures[places == label] = taken
        return to_float(pictures.to(self.device))


def evaluation_source(method: Learner, datamodule: TaskSequenceDataModule, noise: Noise) -> Source:
    """Return what gives a generator its input for each label (B,): noise or test pictures."""
    if datamodule.task_kind == "pictures":
        return PictureSource(datamodule, method.device)
    length = noise_length(method.generator)
    return lambda labels: noise.normal(len(labels) * method.noise_rows, length)
