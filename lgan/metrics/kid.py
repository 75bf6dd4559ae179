"""Kernel distance between features of generated and of real images, by torch-fidelity."""

import math

from torch import Tensor
from torch_fidelity import metric_kid

from lgan.metrics.base import Metric, Values
from lgan.metrics.evidence import Evidence
from lgan.run.columns import Column, over_time
from lgan.seeding import mix


class KID(Metric):
    """The distance per task (`kid_classifier`), and its mean; unbiased, also with few samples."""

    needs = ("generated", "features")
    least = 2
    columns = (
        Column("afq_{name}", "AFQ of KID ({source})", "afq.{name}", "lower", 4, rank=None,
               family="kid_*"),
        Column("spread_{name}", "KID's deviation over subsets ({source})",
               "overall.{name}_deviation", None, 4, rank=None, family="kid_*"),
        *over_time("kid_*", "lower", 4),
    )  # fmt: skip

    def measure(self, evidence: Evidence) -> Values:
        """Return the value per task, their mean, and that of the estimates' deviations."""
        seed = mix(evidence.evaluator.seed, "kid") % 2**32
        pairs, name = evidence.feature_pairs(), f"kid_{evidence.evaluator.extractor.name}"
        found, deviations = zip(*(kid(*pair, seed) for pair in pairs), strict=True)
        values = Values.by_task(name, found)
        values.overall[f"{name}_deviation"] = sum(deviations) / len(deviations)
        return values


def kid(
    generated: Tensor, real: Tensor, seed: int = 0, subsets: int = 20, subset_size: int = 1000
) -> tuple[float, float]:
    """Return mean and deviation of unbiased estimates on random subsets (Binkowski et al. 2018).

    The mean is about 0, also negative, for (N, D) and (M, D) features of equal distributions.
    """
    size = min(subset_size, len(generated), len(real))
    if size < 2:
        return math.nan, math.nan
    if size == len(generated) == len(real):
        subsets = 1  # every subset is the whole set
    sides = (side.detach().cpu().double() for side in (generated, real))
    found = metric_kid.kid_features_to_metric(
        *sides, kid_subsets=subsets, kid_subset_size=size, rng_seed=seed, verbose=False
    )
    return found[metric_kid.KEY_METRIC_KID_MEAN], found[metric_kid.KEY_METRIC_KID_STD]
