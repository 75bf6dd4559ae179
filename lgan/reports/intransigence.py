"""Intransigence: how much worse a task is learnt than by joint training (Chaudhry et al. 2018)."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lgan.reports.matrix import Matrix
from lgan.run.record import RunRecord

REFERENCES = {
    "accuracy_generated": ("joint", "network.generator."),
    "accuracy_single_head": ("joint_classifier", "network.discriminator."),
}
"""Of a metric, the method that a task is learnt as well as can be by, and what both must share."""


def intransigence(matrix: Matrix, reference: Matrix) -> list[float]:
    """Return I_k of every task: the reference's accuracy on task k right after it, less ours."""
    return [best[-1] - own[-1] for own, best in zip(matrix, reference, strict=True)]


def reference_of(record: RunRecord, metric: str, among: Iterable[RunRecord]) -> RunRecord | None:
    """Return the run that a run's intransigence is measured against, if it is there.

    It is joint training on the same data in the same order, with the same network, steps and seed.
    """
    method, network = REFERENCES.get(metric, ("", ""))
    wanted = _shared(record, network)
    alike = (other for other in among if other.method == method and metric in other.metric_names())
    return next((other for other in alike if wanted and _shared(other, network) == wanted), None)


def _shared(record: RunRecord, network: str) -> Mapping[str, Any]:
    same = {key: value for key, value in record.identity.items()
            if key.startswith(("data.", network)) and key != "data.draws"}  # fmt: skip
    told = {"seed": record.seed, "tasks": record.tasks, "content": record.content.get("digest")}
    return same and same | told


def _values(record: RunRecord, metric: str, row: int, among: Iterable[RunRecord]) -> list[float]:
    best = reference_of(record, metric, among)
    if best is None or len(best.rows) <= row or metric not in record.metric_names():
        return [math.nan]
    return intransigence(record.matrix(metric)[: row + 1], best.matrix(metric)[: row + 1])


def last(record: RunRecord, metric: str, row: int, among: Iterable[RunRecord]) -> float:
    """Return I of the task learnt in a `row`; NaN without a reference `among` the runs that far."""
    return _values(record, metric, row, among)[-1]


def mean(record: RunRecord, metric: str, row: int, among: Iterable[RunRecord]) -> float:
    """Return the mean of I over the tasks learnt by a `row`; NaN as for `last`."""
    return float(np.mean(_values(record, metric, row, among)))


RELATIVE = {"intransigence": last, "intransigence_mean": mean}
