"""Evaluation of all tasks so far at each task border."""

from __future__ import annotations

import time

import torch

from lgan.callbacks.base import TaskCallback, TaskContext
from lgan.callbacks.sources import evaluation_source
from lgan.loggers import log_matrix
from lgan.metrics.evaluator import Evaluator
from lgan.metrics.sampling import Sampler
from lgan.seeding import Noise


class EvaluateTasks(TaskCallback):
    """Fill the row of the result matrix that belongs to the task that has just ended.

    Args:
        evaluator: measures a sampler and a classifier on the classes so far.
        seed: seed of the evaluation's noise, which is the same for every method.
    """

    def __init__(self, evaluator: Evaluator, seed: int = 0) -> None:
        self.evaluator, self.seed, self._ready = evaluator, seed, False

    def on_task_start(self, context: TaskContext) -> None:
        """Train or load the evaluation classifier before the first task is trained."""
        if not self._ready:
            self.evaluator.prepare(context.datamodule, context.method.device)
            self._ready = True

    @torch.no_grad()
    def on_task_end(self, context: TaskContext) -> None:
        """Evaluate tasks 0..t, record and log."""
        began, method = time.perf_counter(), context.method
        method.eval()
        head = method.classify if method.has_classifier else None
        sampler = self._sampler(context) if method.has_generator else None
        result = self.evaluator.evaluate(sampler, head, context.task)
        context.row |= {
            "metrics": result.metrics,
            "overall": result.overall,
            "per_class": result.per_class,
            "evaluation_seconds": time.perf_counter() - began,
        }
        context.references |= self.evaluator.references
        self._log(context)

    def _sampler(self, context: TaskContext) -> Sampler:
        method = context.method
        noise = Noise(self.seed, method.device)
        noise.reseed(self.seed, "evaluation", context.task)
        source = evaluation_source(method, context.datamodule, noise)
        return lambda labels: method.generate(source(labels), labels)

    @staticmethod
    def _log(context: TaskContext) -> None:
        row = context.row
        numbers = {f"overall/{name}": value for name, value in row["overall"].items()}
        for task, metrics in enumerate(row["metrics"]):
            numbers |= {f"task{task}/{name}": value for name, value in metrics.items()}
        for logger in context.loggers:
            logger.log_metrics(numbers, step=context.step)
        rows = [*context.earlier_rows, row]
        for name in row["metrics"][0]:
            matrix = [[metrics.get(name, float("nan")) for metrics in r["metrics"]] for r in rows]
            log_matrix(context.loggers, f"matrix/{name}", matrix, context.step)
