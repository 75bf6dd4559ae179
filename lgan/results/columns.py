"""The columns of the comparison table: what is read from a record, and how it is written.

Metrics are defined in lgan.metrics.matrix. A column holds numbers that may be compared: distances
between features (FID, KID) get one column for each extractor, number of samples and reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lgan.metrics import matrix as scalars
from lgan.run.record import RunRecord, number, value_at

PERCENT, DECIMAL, FINE, COUNT, SECONDS = "percent", "decimal", "fine", "count", "seconds"
# What a row's `disk` may hold: the format stands beside each number of bytes.
DISK_FORMATS = {
    "weights_fp32": "weights, fp32",
    "masks_packed_bits": "all tasks' masks, packed bits",
    "masks_flat_int32": "all tasks' masks, flat int32 index of the ones",
    "masks_coo_int64": "all tasks' masks, COO with int64 indices",
}
FEATURE_METRICS = ("fid_", "kid_", "precision_", "recall_")


@dataclass(frozen=True)
class Column:
    """One numeric column: a key for CSV and for choosing, a title, a way to read a record.

    `read` returns NaN where the record does not have the number, or has one that must not stand
    in this column.
    """

    key: str
    title: str
    kind: str
    read: Callable[[RunRecord], float]


def default_columns(records: Sequence[RunRecord]) -> list[Column]:
    """All columns the records can fill, in reading order."""
    return [
        Column("tasks", "tasks", COUNT, lambda record: record.num_tasks),
        *_accuracies(),
        *feature_columns(records),
        Column("l1", "L1 to the target, pixel range 2 ↓", FINE, _overall("l1")),
        Column("ssim", "SSIM to the target ↑", FINE, _overall("ssim")),
        Column("diversity", "diversity (1 = real)", DECIMAL, _overall("diversity")),
        *_costs(),
    ]


def _accuracies() -> list[Column]:
    generated = "accuracy_generated"
    return [
        Column("accuracy_generated", "accuracy_generated, all classes, % ↑", PERCENT,
               _overall(generated)),
        Column("accuracy_first_task", "accuracy_generated, first task, % ↑", PERCENT,
               lambda record: _matrix(record, generated)[-1][0]),
        Column("forgetting", "forgetting (accuracy_generated), points ↓", PERCENT,
               of_matrix(generated, scalars.forgetting)),
        Column("aiq_accuracy", "AIQ (accuracy_generated, mean of means), % ↑", PERCENT,
               of_matrix(generated, scalars.aiq_mean_of_means)),
        Column("classifier", "evaluation classifier on real test images, %", PERCENT,
               lambda record: number(record.references.get("classifier_test_accuracy"))),
        Column("accuracy_single_head", "accuracy_single_head, % ↑", PERCENT,
               _overall("accuracy_single_head")),
        Column("accuracy_single_head_top5", "accuracy_single_head, top 5, % ↑", PERCENT,
               _overall("accuracy_single_head_top5")),
        Column("accuracy_single_head_selected",
               "accuracy_single_head at the best step on real validation images of all classes "
               "seen, % ↑", PERCENT,
               _overall("accuracy_single_head_selected")),
        Column("accuracy_reverse", "accuracy_reverse, % ↑", PERCENT, _overall("accuracy_reverse")),
    ]  # fmt: skip


def _costs() -> list[Column]:
    return [
        Column("parameters_trained", "parameters trained", COUNT, _parameters("trained")),
        Column("parameters_stored", "stored", COUNT, _parameters("stored")),
        Column(
            "parameters_share",
            "stored / (T × Full), %",
            PERCENT,
            _at("parameters.stored / parameters.full"),
        ),
        Column("parameters_total", "total", COUNT, _parameters("total")),
        Column("masked_weights", "maskable weights", COUNT, _parameters("masked_weights")),
        Column("norms_heads", "norms and heads", COUNT, _parameters("norms_heads")),
        *(
            Column(f"disk_{key}", f"disk: {name}, bytes", COUNT, _at(f"disk.{key}"))
            for key, name in DISK_FORMATS.items()
        ),
        Column("train_seconds", "training, s", SECONDS, _seconds),
    ]


def feature_columns(records: Sequence[RunRecord]) -> list[Column]:
    """Columns of FID: AIQ, AFQ, pooled; apart for each extractor, sample count, reference."""
    sources = {
        (name, signature(record))
        for record in records
        for name in record.metric_names()
        if name.startswith("fid_")
    }
    columns = []
    for name, source in sorted(sources, key=str):
        twins = [other for other in sources if other[0] == name]
        title = f"FID ({feature_name(name, source, with_id=len(twins) > 1)})"
        suffix = "_".join([name, *(source if len(twins) > 1 else ())])
        columns += [
            Column(f"afq_{suffix}", f"AFQ of {title} ↓", DECIMAL,
                   of_matrix(name, scalars.afq, source)),
            Column(f"aiq_{suffix}", f"AIQ of {title} ↓", DECIMAL,
                   of_matrix(name, scalars.aiq_mean_of_means, source)),
            Column(f"pooled_{suffix}", f"pooled {title} ↓", DECIMAL, _pooled(name, source)),
        ]  # fmt: skip
    return columns


def signature(record: RunRecord) -> tuple[str, ...]:
    """What a feature distance depends on beside its extractor's name, as texts.

    Extractor's own key, generated samples per class, split and number of the reference images.
    """
    known = record.references
    counts = known.get("reference_images") or {}
    key = known.get("feature_extractor_key") or known.get("classifier") or "?"
    total = sum(counts.values()) if isinstance(counts, dict) else counts
    return (str(key), f"N={known.get('samples_per_class', '?')}",
            f"{known.get('reference_split', 'reference')}={total or '?'}")  # fmt: skip


def feature_name(metric: str, source: tuple[str, ...], with_id: bool) -> str:
    """Extractor, samples per class and reference as they stand in a column's title."""
    extractor = metric.partition("_")[2]
    key, samples, reference = source
    name = f"{extractor} {key}" if with_id else extractor
    return f"{name}, {samples} per class, {reference}"


def of_matrix(
    metric: str,
    scalar: Callable[[Any], float],
    source: tuple[str, ...] | None = None,
) -> Callable[[RunRecord], float]:
    """A reader: a scalar of the result matrix; NaN for a record with another `signature`."""

    def read(record: RunRecord) -> float:
        if source is not None and signature(record) != source:
            return math.nan
        return scalar(_matrix(record, metric)) if metric in record.metric_names() else math.nan

    return read


def _pooled(metric: str, source: tuple[str, ...]) -> Callable[[RunRecord], float]:
    """A reader: the distance between all images of all tasks; NaN for another `signature`."""
    return lambda record: (
        record.overall(f"{metric}_pooled") if signature(record) == source else math.nan
    )


def _matrix(record: RunRecord, metric: str) -> list[list[float]]:
    return record.matrix(metric) if metric in record.metric_names() else [[math.nan]]


def _overall(metric: str) -> Callable[[RunRecord], float]:
    return lambda record: record.overall(metric)


def _parameters(name: str) -> Callable[[RunRecord], float]:
    def read(record: RunRecord) -> float:
        return number((record.rows[-1].get("parameters") or {}).get(name))

    return read


def _at(path: str) -> Callable[[RunRecord], float]:
    return lambda record: value_at(record.rows[-1], path)


def _seconds(record: RunRecord) -> float:
    return sum(number(row.get("train_seconds")) for row in record.rows)
