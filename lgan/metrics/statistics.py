"""Distances between two sets of features (by torch-fidelity), and diversity within a class.

Features are extracted once, elsewhere, and shared. Each function takes the generated features
first. FID is biased at small sample counts: compare only at equal counts (papers' FIDs need
thousands of samples); KID is unbiased; precision tells quality, recall diversity.
"""

from __future__ import annotations

import math

from torch import Tensor
from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric
from torch_fidelity.metric_prc import (
    KEY_METRIC_PRECISION,
    KEY_METRIC_RECALL,
    prc_features_to_metric,
)


def fid(generated: Tensor, real: Tensor) -> float:
    """Frechet distance of Gaussians fitted to two feature sets (Heusel et al. 2017).

    Args:
        generated: (N, D) float features.
        real: (M, D) float features.

    Returns:
        The distance, at least 0 up to rounding; nan with fewer than two samples on a side.
    """
    if min(len(generated), len(real)) < 2:
        return math.nan
    first, second = (fid_features_to_statistics(_doubles(side)) for side in (generated, real))
    if first["sigma"].ndim == 0:  # numpy drops the axes of a covariance of one feature
        first["sigma"], second["sigma"] = (
            first["sigma"].reshape(1, 1),
            second["sigma"].reshape(1, 1),
        )
    return fid_statistics_to_metric(first, second, verbose=False)[KEY_METRIC_FID]


def kid(
    generated: Tensor, real: Tensor, seed: int = 0, subsets: int = 20, subset_size: int = 1000
) -> float:
    """Kernel distance, the mean of unbiased estimates on random subsets (Binkowski et al. 2018).

    Args:
        generated: (N, D) float features.
        real: (M, D) float features.
        seed: seed of the choice of subsets.
        subsets: number of subsets.
        subset_size: samples per subset, clipped to N and M.

    Returns:
        The distance; about 0, negative values included, for equal distributions; nan with fewer
        than two samples on a side.
    """
    size = min(subset_size, len(generated), len(real))
    if size < 2:
        return math.nan
    if size == len(generated) == len(real):
        subsets = 1  # every subset is the whole set
    result = kid_features_to_metric(
        _doubles(generated),
        _doubles(real),
        kid_subsets=subsets,
        kid_subset_size=size,
        rng_seed=seed,
        verbose=False,
    )
    return result[KEY_METRIC_KID_MEAN]


def precision_recall(
    generated: Tensor, real: Tensor, neighbourhood: int = 3
) -> tuple[float, float]:
    """Improved precision and recall by nearest neighbours (Kynkaanniemi et al. 2019).

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


def distances(generated: Tensor, real: Tensor, extractor: str, seed: int) -> dict[str, float]:
    """Return FID, KID, precision and recall, named with the extractor (``fid_classifier``).

    Args:
        generated: (N, D) features.
        real: (M, D) features.
        extractor: name of the feature extractor.
        seed: seed of KID's subsets.
    """
    precision, recall = precision_recall(generated, real)
    values = {"fid": fid(generated, real), "kid": kid(generated, real, seed)}
    values |= {"precision": precision, "recall": recall}
    return {f"{metric}_{extractor}": value for metric, value in values.items()}


def pixel_deviation(images: Tensor) -> float:
    """Measure how much the images of one class differ from each other.

    The standard deviation over the samples (unbiased) of each pixel of each channel, averaged over
    pixels and channels. Diversity is this number of generated over that of real images.

    Args:
        images: uint8 (N, C, H, W).

    Returns:
        The deviation in grey levels, 0 to 255; nan with fewer than two images.
    """
    return images.double().flatten(1).std(dim=0).mean().item() if len(images) > 1 else math.nan


def _doubles(features: Tensor) -> Tensor:
    return features.detach().cpu().double()
