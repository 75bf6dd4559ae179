"""Counting parameters, and what a growing network reserved, at each task border."""

import pandas as pd

from lgan.callbacks.base import TaskCallback, TaskContext


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
        parts = {k: v for k, v in context.row.items() if k in ("parameters", "capacity", "disk")}
        context.log(dict(pd.json_normalize(parts, sep="/").astype(float).iloc[0]))
