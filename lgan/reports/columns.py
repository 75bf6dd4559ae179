"""The columns of the comparison table, bound to the records that fill them.

What a metric's columns are called and hold, the metric declares (`lgan.run.columns`) and the
record keeps, so that metrics from other packages have theirs. A column holds numbers that may be
compared: distances between features get one for each extractor, number of samples and reference.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter, ValidationError

from lgan.errors import RunError
from lgan.reports.intransigence import RELATIVE, scalar
from lgan.reports.matrix import SCALARS
from lgan.run.columns import USUAL, Column
from lgan.run.record import RunRecord, first_fault, number, value_at

if TYPE_CHECKING:
    from lgan.metrics.base import Metric

# What a row's `disk` may hold: the format stands beside each number of bytes.
DISK_FORMATS = {
    "weights_fp32": "weights, fp32",
    "masks_packed_bits": "all tasks' masks, packed bits",
    "masks_flat_int32": "all tasks' masks, flat int32 index of the ones",
    "masks_coo_int64": "all tasks' masks, COO with int64 indices",
}
TASKS = Column("tasks", "tasks", "tasks", form="count", rank=1)
LOWER: Literal["lower"] = "lower"
COSTS = (
    *(Column(f"parameters_{name}", f"parameters {name}", f"row.parameters.{name}", better,
             form="count", rank=rank)
      for name, better, rank in (
          ("trained", None, None), ("added", None, None), ("stored", LOWER, 3))),
    Column("parameters_peak", "parameters stored at most, asleep", "row.parameters.peak", LOWER,
           form="count", rank=3),
    Column("parameters_share", "stored / (T × Full), %",
           "row.parameters.stored / parameters.full", LOWER, 1, "percent", rank=4),
    *(Column(key, title, f"row.{of}", form="count", rank=None) for key, title, of in (
        ("parameters_total", "parameters in total", "parameters.total"),
        ("masked_weights", "maskable weights", "parameters.masked_weights"),
        ("norms_heads", "norms and heads", "parameters.norms_heads"),
        *((f"disk_{name}", f"disk: {title}, bytes", f"disk.{name}")
          for name, title in DISK_FORMATS.items()))),
    Column("train_seconds", "training, s", "total.train_seconds", LOWER, 0, rank=3),
    Column("processor_seconds", "training, s of the processor", "total.processor_seconds", LOWER,
           0, rank=None),
)  # fmt: skip
ARROWS = {"lower": " ↓", "higher": " ↑", None: ""}


@dataclass(frozen=True)
class TableColumn(Column):
    """A column as it stands in a table; of a `source` only, where that decides its numbers."""

    source: tuple[str, ...] | None = None
    among: tuple[RunRecord, ...] = ()  # where the run stands that a number is relative to

    def read(self, record: RunRecord) -> float:
        """Return a record's number; NaN where it has none, or one that must not stand here."""
        if self.source not in (None, signature(record)):
            return math.nan
        kind, _, name = self.of.partition(".")
        if kind in {*SCALARS, *RELATIVE}:
            return scalar(kind, record, name, len(record.rows) - 1, self.among)
        return {
            "tasks": lambda: float(record.num_tasks),
            "overall": lambda: record.overall(name),
            "references": lambda: number(record.references.get(name)),
            "row": lambda: value_at(record.rows[-1], name),
            "total": lambda: sum(number(row.get(name)) for row in record.rows),
        }.get(kind, lambda: math.nan)()


def every_column(records: Sequence[RunRecord]) -> list[TableColumn]:
    """All columns the records may fill, in reading order."""
    columns = dict.fromkeys(column for record in records for column in declared(record))
    by_family: dict[str, list[Column]] = {}
    for column in columns:
        by_family.setdefault(column.family or column.key, []).append(column)
    found = [_shown(TASKS)]
    for alike in by_family.values():
        family = alike[0].family
        if family:
            found += _of_family(family, alike, records)
        else:
            found.append(_shown(alike[0], among=tuple(records)))
    return [*found, *map(_shown, COSTS)]


def filled(columns: Sequence[TableColumn], records: Sequence[RunRecord]) -> list[TableColumn]:
    """The columns for which some record has a number."""
    return [c for c in columns if not all(math.isnan(c.read(record)) for record in records)]


def usual_columns(
    columns: Sequence[TableColumn], records: Sequence[RunRecord], most: int
) -> list[TableColumn]:
    """The columns of the default table by their rank, `most` at most, in reading order.

    What is neither good nor bad and is the same for all says nothing, and is left out.
    """
    alone = len(records) == 1
    telling = [c for c in columns if alone or c.better or len({*map(c.read, records)}) > 1]
    ranked = sorted((c.rank, place) for place, c in enumerate(telling) if c.rank is not None)
    return [telling[place] for place in sorted(place for _, place in ranked[:most])]


def declared(record: RunRecord) -> list[Column]:
    """The columns that a run's metrics declared; of a run older than that, the known metrics'."""
    if not record.columns:
        return [column for metric in _known_metrics() for column in metric.columns]
    try:
        kept = TypeAdapter(list[Column]).validate_python(record.columns)
    except ValidationError as error:
        raise RunError(f"results.json is damaged: columns.{first_fault(error)}.") from error
    if all("rank" in column for column in record.columns):
        return kept
    ranks: dict[tuple[str, str], int | None] = {
        (column.key, column.family): column.rank
        for metric in _known_metrics() for column in metric.columns
    }  # fmt: skip
    return [
        replace(column, rank=ranks.get((column.key, column.family),
                                       None if written.get("hidden") else USUAL))
        for column, written in zip(kept, record.columns, strict=True)
    ]  # fmt: skip


def _known_metrics() -> list[type[Metric]]:
    """Return the metrics of records that do not keep columns; imported only for these."""
    from lgan.metrics.accuracy_generated import AccuracyGenerated
    from lgan.metrics.accuracy_reverse import AccuracyReverse
    from lgan.metrics.accuracy_single_head import AccuracySingleHead
    from lgan.metrics.diversity import Diversity
    from lgan.metrics.fid import FID
    from lgan.metrics.paired import PairedDistances

    return [AccuracyGenerated, AccuracySingleHead, AccuracyReverse, FID, PairedDistances, Diversity]


def matrix_metrics(records: Iterable[RunRecord]) -> dict[str, Column]:
    """The metrics whose result matrices the report shows, with a column of each, by rank."""
    found: dict[str, Column] = {}
    for record in records:
        for column in (c for c in declared(record) if c.matrix):
            pattern = column.family or column.of.partition(".")[2]
            for name in sorted(fnmatch.filter(record.metric_names(), pattern)):
                found.setdefault(name, column)
    return dict(sorted(found.items(), key=lambda item: item[1].rank or math.inf))


def _of_family(
    family: str, columns: Sequence[Column], records: Sequence[RunRecord]
) -> Iterator[TableColumn]:
    sources = {(name, signature(record)) for record in records
               for name in fnmatch.filter(record.metric_names(), family)}  # fmt: skip
    for name, source in sorted(sources, key=str):
        twins = len([other for other in sources if other[0] == name]) > 1
        suffix, extractor = "_".join([name, *(source if twins else ())]), name.partition("_")[2]
        key, samples, reference = source
        shown = f"{extractor}{f' {key}' if twins else ''}, {samples} per class, {reference}"
        for column in columns:
            yield _shown(
                column,
                key=column.key.replace("{name}", suffix),
                title=column.title.replace("{source}", shown),
                of=column.of.replace("{name}", name),
                source=source,
            )


def _shown(column: Column, **fields: object) -> TableColumn:
    values = asdict(column) | fields
    return TableColumn(**values | {"title": f"{values['title']}{ARROWS[column.better]}"})


def signature(record: RunRecord) -> tuple[str, ...]:
    """A feature distance's extractor key, samples per class, and reference split and number."""
    known = record.references
    counts = known.get("reference_images") or {}
    key = known.get("feature_extractor_key") or known.get("classifier") or "?"
    total = sum(counts.values()) if isinstance(counts, dict) else counts
    return (str(key), f"N={known.get('samples_per_class', '?')}",
            f"{known.get('reference_split', 'reference')}={total or '?'}")  # fmt: skip
