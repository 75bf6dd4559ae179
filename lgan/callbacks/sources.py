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
    """The test inputs of translation tasks (the labels), one after the other, round and round."""

    def __init__(self, datamodule: TaskSequenceDataModule, device: torch.device) -> None:
        self.datamodule, self.device = datamodule, device
        self.used: dict[int, int] = {}

    def __call__(self, labels: Tensor) -> Tensor:
        """Return the next input (B, C, H, W) in [-1, 1] of each label's task."""
        pictures: dict[int, Tensor] = {}
        for label in labels.unique().tolist():
            inputs, first = self.datamodule.test_inputs(label), self.used.get(label, 0)
            places = (labels == label).nonzero().flatten().tolist()
            self.used[label] = first + len(places)
            taken = inputs[torch.arange(first, first + len(places)) % len(inputs)]
            pictures.update(zip(places, taken, strict=True))
        return to_float(torch.stack([pictures[i] for i in range(len(labels))]).to(self.device))


def evaluation_source(method: Learner, datamodule: TaskSequenceDataModule, noise: Noise) -> Source:
    """Return what gives a generator its input for each label (B,): noise or test pictures."""
    if datamodule.task_kind == "pictures":
        return PictureSource(datamodule, method.device)
    length = noise_length(method.generator)
    return lambda labels: noise.normal(len(labels) * method.noise_rows, length)
