"""Intransigence: how much worse a task is learnt than by joint training (Chaudhry et al. 2018)."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from lgan.reports.matrix import SCALARS, Matrix
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


RELATIVE: dict[str, Callable[[list[float]], float]] = {
    "intransigence": lambda values: values[-1],
    "intransigence_mean": lambda values: float(np.mean(values)),
}
"""What is told of I of the tasks learnt so far: that of the last one, and their mean."""


def scalar(
    kind: str, record: RunRecord, metric: str, row: int, among: Iterable[RunRecord]
) -> float:
    """Return a scalar, of `SCALARS` or `RELATIVE`, of a metric's result matrix down to a `row`.

    NaN where the metric was not measured, or no reference `among` the runs has come that far.
    """
    if metric not in record.metric_names():
        return math.nan
    matrix = record.matrix(metric)[: row + 1]
    if kind in SCALARS:
        return SCALARS[kind](matrix)
    best = reference_of(record, metric, among)
    if best is None or len(best.rows) <= row:
        return math.nan
    return RELATIVE[kind](intransigence(matrix, best.matrix(metric)[: row + 1]))
