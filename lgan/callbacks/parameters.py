"""Counting parameters, and what a growing network reserved, at each task border."""

from typing import Any

from lgan.callbacks.base import TaskCallback, TaskContext


def flat(prefix: str, value: Any) -> dict[str, float]:  # noqa: ANN401
    """Return the numbers of a nested dictionary as {"a/b/c": number}."""
    if not isinstance(value, dict):
        return {prefix: float(value)}
    inner = (flat(f"{prefix}/{name}", part) for name, part in value.items())
    return {key: number for part in inner for key, number in part.items()}


class CountParameters(TaskCallback):
    """Record and log `parameter_counts`; log what the method reported of capacity and disk, too."""

    def on_task_end(self, context: TaskContext) -> None:
        """Add the counts to the task's row, and log them; `added` is by how much `stored` grew."""
        counts = dict(context.method.parameter_counts())
        if "stored" in counts:
            rows = context.earlier_rows
            before = rows[-1].get("parameters", {}).get("stored", 0) if rows else 0
            counts["added"] = counts["stored"] - before
        context.record(parameters=counts)
        parts = [flat(key, context.row.get(key, {})) for key in ("parameters", "capacity", "disk")]
        context.log({name: number for part in parts for name, number in part.items()})
