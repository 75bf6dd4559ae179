"""Evaluation of all tasks so far at each task border."""

import time
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lgan import distributed
from lgan.arguments import Whole
from lgan.callbacks.base import Learner, TaskCallback, TaskContext
from lgan.callbacks.sources import Source, evaluation_source
from lgan.data.ledger import Reader
from lgan.metrics.evaluator import Evaluator


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
