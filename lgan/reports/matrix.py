"""Scalars of a result matrix: what remains of each task after every later one.

Row t (from 0) holds ``t + 1`` values, as records are checked for: `Q[t][j]` is one metric on task j
after training task t. A scalar that looks back at earlier tasks is nan where there are none, and
nan entries make the results they enter nan.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

Matrix = Sequence[Sequence[float]]


def average_metric(matrix: Matrix) -> list[float]:
    """Return A_t for every t: the mean of `Q[t][j]` over the tasks j <= t learnt so far."""
    return [_mean(row) for row in matrix]


def afq(matrix: Matrix) -> float:
    """Average final quality: A_T, the mean over all tasks after the last one (CLoG)."""
    return average_metric(matrix)[-1]


def aiq_mean_of_means(matrix: Matrix) -> float:
    """Average incremental quality as the mean over t of A_t (the usual incremental average)."""
    return _mean(average_metric(matrix))


def aiq_flat(matrix: Matrix) -> float:
    """Average incremental quality as the mean over all entries (one public reading of CLoG)."""
    return _mean(value for row in matrix for value in row)


def forgetting_rate(matrix: Matrix) -> float:
    """Mean over j < T of `Q[T][j] - Q[j][j]` (CLoG's FR).

    For a metric where lower is better (FID), positive means forgetting; for an accuracy, negative.
    The same number is backward transfer (Lopez-Paz and Ranzato 2017), read for accuracies.
    """
    return _mean(last - first for first, last in _first_and_last(matrix))


def relative_forgetting_rate(matrix: Matrix) -> float:
    """Return the forgetting rate with each term divided by `Q[j][j]` (ours), nan if one is 0."""
    pairs = _first_and_last(matrix)
    return _mean((last - first) / first if first else math.nan for first, last in pairs)


def forgetting(matrix: Matrix) -> float:
    """Mean over j < T of `max_{t<T} Q[t][j] - Q[T][j]`, for accuracies (Chaudhry et al. 2018)."""
    *earlier, final = matrix
    best = [np.max([row[j] for row in earlier[j:]]) for j in range(len(earlier))]
    return _mean(top - last for top, last in zip(best, final, strict=False))


def plasticity(matrix: Matrix) -> float:
    """Mean of `Q[t][t]`: the value of each task right after it was learnt."""
    return _mean(row[-1] for row in matrix)


def first_task(matrix: Matrix) -> float:
    """Return `Q[T][0]`: what is left of the first task after the last one."""
    return matrix[-1][0]


# Every scalar by name; A_t, a list, is left to `average_metric`.
SCALARS = {
    "afq": afq, "aiq_mean_of_means": aiq_mean_of_means, "aiq_flat": aiq_flat,
    "forgetting_rate": forgetting_rate, "relative_forgetting_rate": relative_forgetting_rate,
    "forgetting": forgetting, "backward_transfer": forgetting_rate, "plasticity": plasticity,
    "first_task": first_task,
}  # fmt: skip


def _first_and_last(matrix: Matrix) -> list[tuple[float, float]]:
    return [(matrix[j][j], matrix[-1][j]) for j in range(len(matrix) - 1)]


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return float(np.mean(listed)) if listed else math.nan
