"""Evaluation of all tasks so far at each task border."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lgan import distributed
from lgan.arguments import Whole
from lgan.callbacks.base import Learner, TaskCallback, TaskContext
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.images import to_float
from lgan.data.ledger import Reader
from lgan.metrics.evaluator import Evaluator
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


@dataclass
class MethodSampler:
    """What the evaluator draws images with."""

    method: Learner
    source: Source

    def __call__(self, labels: Tensor) -> Tensor:
        """Return images (B, C, H, W) of the classes (B,), from the source's next inputs."""
        return self.method.generate(self.source(labels), labels)

    def skip(self, labels: Tensor) -> None:
        """Pass over the inputs of a call."""
        self.source(labels)


class EvaluateTasks(TaskCallback):
    """Fill a finished task's row of the result matrix; `seed` is of the noise, for all methods."""

    reads: ClassVar[Reader] = "evaluation"

    def __init__(self, evaluator: Evaluator, seed: Whole = 0) -> None:
        self.evaluator, self.seed, self._ready = evaluator, seed, False

    def on_task_start(self, context: TaskContext) -> None:
        """Train or load the evaluation classifier before the first task is trained."""
        if not self._ready:
            with distributed.main_first():
                self.evaluator.prepare(context.datamodule, context.method.device)
            self._ready = True

    @torch.no_grad()
    def on_task_end(self, context: TaskContext) -> None:
        """Evaluate tasks 0..t, record and log."""
        began, method = time.perf_counter(), context.method
        method.eval()
        head = method.classify if method.has_classifier else None

        def start() -> MethodSampler:  # that draws the same images each time
            return MethodSampler(method, evaluation_source(method, context.datamodule, self.seed))

        make_sampler = start if method.has_generator else None
        more = method.draws_jointly, method.other_heads, method.classifier_of
        values = self.evaluator.evaluate(make_sampler, head, context.task, *more)
        context.record(evaluation_seconds=time.perf_counter() - began)
        context.record_values(values, self.evaluator.columns)
        context.references |= self.evaluator.references
        parts = {"overall": values.overall}
        parts |= {f"task{task}": metrics for task, metrics in enumerate(values.metrics)}
        context.log({f"{part}/{n}": value for part in parts for n, value in parts[part].items()})
