"""Counting parameters at each task border."""

from __future__ import annotations

from lgan.callbacks.base import TaskCallback, TaskContext


class CountParameters(TaskCallback):
    """Record parameters trained in the task, stored so far, the discriminator's, and in all."""

    def on_task_end(self, context: TaskContext) -> None:
        """Add the counts to the task's row and log them."""
        counts = context.method.parameter_counts()
        context.row["parameters"] = counts
        for logger in context.loggers:
            numbers = {f"parameters/{name}": float(count) for name, count in counts.items()}
            logger.log_metrics(numbers, step=context.step)
