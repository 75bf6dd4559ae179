"""Precision tells the quality of generated images, recall their diversity; by torch-fidelity."""

import math

from torch import Tensor
from torch_fidelity import metric_prc as prc

from lgan.metrics.base import Metric, Values
from lgan.metrics.evidence import Evidence
from lgan.run.columns import Column


class PrecisionRecall(Metric):
    """Both per task, named with the extractor (`recall_classifier`), and their means."""

    needs = ("generated", "features")
    least = 4
    columns = tuple(
        Column("afq_{name}", f"AFQ of {name} ({{source}})", "afq.{name}", "higher", 3, rank=None,
               family=f"{name}_*")
        for name in ("precision", "recall")
    )  # fmt: skip

    def measure(self, evidence: Evidence) -> Values:
        """Return the values per task and their means."""
        name = evidence.evaluator.extractor.name
        found = [precision_recall(*pair) for pair in evidence.feature_pairs()]
        precision, recall = zip(*found, strict=True)
        values = Values.by_task(f"precision_{name}", precision)
        return values.add(Values.by_task(f"recall_{name}", recall))


def precision_recall(
    generated: Tensor, real: Tensor, neighbourhood: int = 3
) -> tuple[float, float]:
    """Return improved precision and recall by nearest neighbours (Kynkaanniemi et al. 2019).

    Precision is the share of generated samples (N, D) within the manifold of the real ones (M, D),
    recall the reverse; the k-th nearest neighbour (`neighbourhood`) sets each ball's radius.
    """
    if min(len(generated), len(real)) <= neighbourhood:
        return math.nan, math.nan
    found = prc.prc_features_to_metric(
        generated.float().cpu(), real.float().cpu(), prc_neighborhood=neighbourhood,
        prc_batch_size=2000, save_cpu_ram=True, verbose=False,
    )  # fmt: skip
    return found[prc.KEY_METRIC_PRECISION], found[prc.KEY_METRIC_RECALL]
