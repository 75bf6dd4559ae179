"""Columns of tables, declared by what measures their numbers; plain data that a record keeps."""

from dataclasses import dataclass
from typing import Literal

USUAL = 2  # the rank of a column that says nothing of it: who adds a metric wants to see it
TRUSTED = 0.9  # accuracy on real images below which a classifier is warned of


@dataclass(frozen=True)
class Column:
    """A column of the comparison table; it is left out where no run has its number."""

    key: str  # its name in CSV files and for `columns=...`
    title: str  # what stands above it
    # Where its number is found: `overall.NAME` and `row.PATH` in the last task's row, `total.NAME`
    # summed over rows, `references.NAME`, a scalar of a metric's result matrix by its name in
    # `lgan.reports.matrix` (`forgetting.NAME`), or one of two matrices, the run's and its
    # reference's, by its name in `lgan.reports.intransigence`.
    of: str
    better: Literal["higher", "lower"] | None = None  # shown as an arrow
    digits: int = 2
    form: Literal["number", "percent", "count"] = "number"  # counts with thousands separators
    # The lower, the sooner it is in the default table, which has few columns: 1 and 2 say who is
    # good and who forgets, 3 what it costs; None: shown only if `columns=...` asks for it.
    rank: int | None = USUAL
    matrix: bool = False  # whether the report draws the metric's result matrix
    # For distances between features, the pattern (`fid_*`) of the names that stand for `{name}` in
    # key and `of`. Numbers of other extractors, numbers of samples or references must not be
    # compared: each gets its own column, and stands for `{source}` in the title.
    family: str = ""


def percent(
    key: str,
    title: str,
    of: str,
    rank: int | None = USUAL,
    *,
    up: bool = True,
    matrix: bool = False,
) -> Column:
    """Return a column of fractions that are shown in percent."""
    better: Literal["higher", "lower"] = "higher" if up else "lower"
    return Column(key, title, of, better, 1, "percent", rank, matrix)


def over_tasks(
    name: str, first: str, forgetting: str, ending: str, rank: int = 4
) -> tuple[Column, ...]:
    """Return the columns of what an accuracy's result matrix tells.

    Their keys are `first` (what is left of the first task), `forgetting`, which has the rank, and
    others with `ending`.
    """
    hidden = {"aiq_flat": f"AIQ, mean of all values, % ({name})",
              "plasticity": f"right after learning, % ({name})",
              "backward_transfer": f"backward transfer, points ({name})"}  # fmt: skip
    below = {"intransigence": f"intransigence on the last task ({name}), points",
             "intransigence_mean": f"intransigence, mean of tasks ({name}), points"}  # fmt: skip
    return (
        percent(first, f"{name}, first task, %", f"first_task.{name}", rank + 1),
        percent(forgetting, f"forgetting ({name}), points", f"forgetting.{name}", rank, up=False),
        percent(f"aiq_{ending}", f"AIQ ({name}, mean of means), %", f"aiq_mean_of_means.{name}", 4),
        *(percent(f"{key}_{ending}", title, f"{key}.{name}", None)
          for key, title in hidden.items()),
        *(percent(f"{key}_{ending}", title, f"{key}.{name}", 5, up=False)
          for key, title in below.items()),
    )  # fmt: skip


def over_time(family: str, better: Literal["higher", "lower"], digits: int) -> tuple[Column, ...]:
    """Return further columns of what `lgan.reports.matrix` makes of a family of metrics."""
    titles = {
        "aiq_flat": "mean of all values of",
        "plasticity": "right after learning:",
        "forgetting_rate": "forgetting rate (last - first) of",
        "relative_forgetting_rate": "relative forgetting rate of",
    }
    return tuple(
        Column(f"{key}_{{name}}", f"{title} {family[:-2]} ({{source}})", f"{key}.{{name}}",
               better, digits, rank=4 if key == "forgetting_rate" else None, family=family)
        for key, title in titles.items()
    )  # fmt: skip
