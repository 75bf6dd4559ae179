"""How near translations come to their targets, where pictures are paired."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from lgan import distributed
from lgan.callbacks.base import TaskCallback, TaskContext
from lgan.callbacks.sources import PictureSource
from lgan.data.images import to_float


def paired_distances(outputs: Tensor, targets: Tensor) -> dict[str, float]:
    """Return the mean absolute error and the structural similarity of two sets of pictures.

    Args:
        outputs: (N, C, H, W) in [-1, 1].
        targets: the same shape; picture i belongs to output i.

    Returns:
        `l1`, in units of the pixel range [-1, 1], and `ssim`, at most 1 (Wang et al. 2004).
    """
    similarity = structural_similarity_index_measure(outputs, targets, data_range=2.0)
    assert isinstance(similarity, Tensor)
    return {"l1": float((outputs - targets).abs().mean()), "ssim": float(similarity)}


class PairedDistances(TaskCallback):
    """Add L1 and SSIM of every task so far to the row of the result matrix.

    Args:
        pairs: test pairs of each task, the first ones.
        batch: pictures in one call of the generator.
    """

    def __init__(self, pairs: int = 100, batch: int = 50) -> None:
        self.pairs, self.batch = pairs, batch

    @torch.no_grad()
    def on_task_end(self, context: TaskContext) -> None:
        """Measure, record and log; nothing where the pictures are not paired."""
        if not context.datamodule.paired:
            return
        context.method.eval()
        tasks = range(context.task + 1)
        found = distributed.spread(lambda task: self._measure(context, task), tasks)
        entries = context.row["metrics"]
        for entry, distances in zip(entries, found, strict=True):
            entry.update(distances)
        overall = context.row.setdefault("overall", {})
        for name in found[0]:
            overall[name] = sum(distances[name] for distances in found) / len(found)
        for logger in context.loggers:
            numbers = {f"task{t}/{k}": v for t, entry in enumerate(found) for k, v in entry.items()}
            logger.log_metrics(numbers, step=context.step)

    def _measure(self, context: TaskContext, task: int) -> dict[str, float]:
        method, data = context.method, context.datamodule
        count = min(self.pairs, len(data.test_inputs(task)))
        source = PictureSource(data, method.device)
        labels = torch.full((count,), task, device=method.device)
        drawn = [method.generate(source(part), part) for part in labels.split(self.batch)]
        targets = to_float(data.test_images(task).take(torch.arange(count)).to(method.device))
        return paired_distances(torch.cat(drawn), targets)
