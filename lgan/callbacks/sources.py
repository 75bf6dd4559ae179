"""What generators are given at a task border: noise, or the pictures that they translate."""

from collections import Counter
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
        self.datamodule, self.device, self.used = datamodule, device, Counter[int]()

    def __call__(self, labels: Tensor) -> Tensor:
        """Return the next input (B, C, H, W) in [-1, 1] of each label's task."""
        inputs = {label: self.datamodule.test_inputs(label) for label in labels.unique().tolist()}
        taken = []
        for label in labels.tolist():
            taken.append(inputs[label][self.used[label] % len(inputs[label])])
            self.used[label] += 1
        return to_float(torch.stack(taken).to(self.device))


class ClassNoise:
    """Noise of each class's own, by calls: what it shows changes only as the generator does."""

    def __init__(self, length: int, rows: int, seed: int, device: torch.device) -> None:
        self.length, self.rows, self.seed = length, rows, seed
        self.noise, self.calls = Noise(seed, device), Counter[int]()

    def __call__(self, labels: Tensor) -> Tensor:
        """Return noise (B * rows, length) for the labels (B,)."""
        z = torch.empty(len(labels), self.rows, self.length, device=self.noise.device)
        for label in labels.unique().tolist():
            mine = labels == label
            self.noise.reseed(self.seed, "evaluation", label, self.calls[label])
            self.calls[label] += 1
            z[mine] = self.noise.normal(int(mine.sum()), self.rows, self.length)
        return z.flatten(0, 1)


def evaluation_source(method: Learner, datamodule: TaskSequenceDataModule, seed: int) -> Source:
    """Return what gives a generator its input for each label (B,): noise or test pictures."""
    if datamodule.task_kind == "pictures":
        return PictureSource(datamodule, method.device)
    return ClassNoise(noise_length(method.generator), method.noise_rows, seed, method.device)
