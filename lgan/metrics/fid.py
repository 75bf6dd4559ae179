"""Frechet distance between features of generated and of real images, by torch-fidelity."""

import math

from torch import Tensor
from torch_fidelity import metric_fid

from lgan.metrics.base import Metric, Values
from lgan.metrics.evidence import Evidence
from lgan.run.columns import Column, over_time


class FID(Metric):
    """The distance per task, named with the extractor (`fid_classifier`), and its mean.

    `fid_<extractor>_pooled` is of all tasks' images. Few samples bias it: compare equal numbers.
    """

    needs = ("generated", "features")
    least = 2
    columns = tuple(
        Column(f"{key}_{{name}}", f"{title} FID ({{source}})", of, "lower", rank=rank,
               matrix=True, family="fid_*")
        for key, title, of, rank in (
            ("afq", "AFQ of", "afq.{name}", 2), ("aiq", "AIQ of", "aiq_mean_of_means.{name}", 4),
            ("pooled", "pooled", "overall.{name}_pooled", None),
        )
    ) + over_time("fid_*", "lower", 2)  # fmt: skip

    def measure(self, evidence: Evidence) -> Values:
        """Return the value per task, their mean, and the pooled one."""
        name = f"fid_{evidence.evaluator.extractor.name}"
        values = Values.by_task(name, [fid(*pair) for pair in evidence.feature_pairs()])
        every = evidence.evaluator.features_of(evidence.classes)
        values.overall[f"{name}_pooled"] = fid(evidence.features, every)
        return values


def fid(generated: Tensor, real: Tensor) -> float:
    """Return the distance of Gaussians fitted to (N, D) and (M, D) (Heusel et al. 2017)."""
    if min(len(generated), len(real)) < 2:
        return math.nan
    doubles = [side.detach().cpu().double() for side in (generated, real)]
    sides = list(map(metric_fid.fid_features_to_statistics, doubles))
    for side in sides:  # numpy drops the axes of a covariance of one feature
        side["sigma"] = side["sigma"].reshape(len(side["mu"]), -1)
    return metric_fid.fid_statistics_to_metric(*sides, verbose=False)[metric_fid.KEY_METRIC_FID]
