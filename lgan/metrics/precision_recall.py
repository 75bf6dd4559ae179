"""Precision tells the quality of generated images, recall their diversity; by torch-fidelity."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor
from torch_fidelity.metric_prc import (
    KEY_METRIC_PRECISION,
    KEY_METRIC_RECALL,
    prc_features_to_metric,
)

from lgan.metrics.base import Metric, Need, Values
from lgan.metrics.columns import Column
from lgan.metrics.evidence import Evidence


class PrecisionRecall(Metric):
    """Both per task, named with the extractor (`recall_classifier`), and their means."""

    needs: ClassVar[tuple[Need, ...]] = ("generated", "features")
    columns: ClassVar[tuple[Column, ...]] = tuple(
        Column("afq_{name}", f"AFQ of {name} ({{source}})", "afq.{name}", "higher", 3, hidden=True,
               family=f"{name}_*")
        for name in ("precision", "recall")
    )  # fmt: skip

    def measure(self, evidence: Evidence) -> Values:
        """Return the values per task and their means."""
        name = evidence.reference.extractor.name
        found = [precision_recall(drawn, real) for drawn, real in evidence.feature_pairs()]
        precision, recall = zip(*found, strict=True)
        values = Values.by_task(f"precision_{name}", precision)
        return values.add(Values.by_task(f"recall_{name}", recall))


def precision_recall(
    generated: Tensor, real: Tensor, neighbourhood: int = 3
) -> tuple[float, float]:
    """Return improved precision and recall by nearest neighbours (Kynkaanniemi et al. 2019).

    Args:
        generated: (N, D) float features.
        real: (M, D) float features.
        neighbourhood: k of the k-th nearest neighbour that sets each ball's radius.

    Returns:
        Precision (generated samples within the real manifold) and recall (the reverse), in [0, 1];
        nan with `neighbourhood` samples or fewer on a side.
    """
    if min(len(generated), len(real)) <= neighbourhood:
        return math.nan, math.nan
    result = prc_features_to_metric(
        generated.float().cpu(),
        real.float().cpu(),
        prc_neighborhood=neighbourhood,
        prc_batch_size=2000,
        save_cpu_ram=True,
        verbose=False,
    )
    return result[KEY_METRIC_PRECISION], result[KEY_METRIC_RECALL]
