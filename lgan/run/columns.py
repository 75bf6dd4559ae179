"""Columns of tables, declared by what measures their numbers; plain data that a record keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Column:
    """A column of the comparison table; it is left out where no run has its number.

    Args:
        key: its name in CSV files and for `columns=...`.
        title: what stands above it.
        of: where its number is found: `overall.NAME` and `row.PATH` in the last task's row,
            `total.NAME` summed over rows, `references.NAME`, or a scalar of a metric's result
            matrix by its name in `lgan.results.matrix` (`forgetting.NAME`).
        better: which way is better, shown as an arrow.
        digits: after the decimal point.
        form: fractions in percent; counts with thousands separators.
        hidden: whether it is shown only if `columns=...` asks for it.
        matrix: whether the report draws the metric's result matrix.
        family: for distances between features, the pattern (`fid_*`) of the names that stand for
            `{name}` in key and `of`. Numbers of other extractors, numbers of samples or references
            must not be compared: each gets its own column, and stands for `{source}` in the title.
    """

    key: str
    title: str
    of: str
    better: Literal["higher", "lower"] | None = None
    digits: int = 2
    form: Literal["number", "percent", "count"] = "number"
    hidden: bool = False
    matrix: bool = False
    family: str = ""


def percent(key: str, title: str, of: str, *, up: bool = True, matrix: bool = False) -> Column:
    """Return a column of fractions that are shown in percent."""
    return Column(key, title, of, "higher" if up else "lower", 1, "percent", matrix=matrix)
