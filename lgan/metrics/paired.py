"""How near translations come to their targets, where pictures are paired."""

from typing import cast

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from lgan import distributed
from lgan.data.images import to_float
from lgan.metrics.base import Metric, Values
from lgan.metrics.evidence import Evidence
from lgan.run.columns import Column


class PairedDistances(Metric):
    """L1 and SSIM of every task so far, and their means, of the pictures that all metrics see."""

    needs = ("generated", "pairs")
    columns = (
        Column(
            "l1", "L1 to the target, pixel range 2", "overall.l1", "lower", 3, rank=1, matrix=True
        ),
        Column("ssim", "SSIM to the target", "overall.ssim", "higher", 3, rank=1, matrix=True),
    )

    def measure(self, evidence: Evidence) -> Values:
        """Return the values per task and their means."""
        tasks = range(evidence.task + 1)
        found = distributed.spread(lambda task: self._measure(evidence, task), tasks)
        means = {name: sum(entry[name] for entry in found) / len(found) for name in found[0]}
        return Values(found, means)

    def _measure(self, evidence: Evidence, task: int) -> dict[str, float]:
        drawn = evidence.generated.of_classes([task]).all()
        targets = evidence.evaluator.data.test_images(task).take(torch.arange(len(drawn)))
        return paired_distances(to_float(drawn), to_float(targets))


def paired_distances(outputs: Tensor, targets: Tensor) -> dict[str, float]:
    """Return mean error and SSIM (Wang et al. 2004) of (N, C, H, W) in [-1, 1] to their targets."""
    similarity = cast(Tensor, structural_similarity_index_measure(outputs, targets, data_range=2.0))
    return {"l1": float((outputs - targets).abs().mean()), "ssim": float(similarity)}
