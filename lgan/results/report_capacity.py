"""The report's parts on growth, masks, disk space and drift, for the runs that recorded them."""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lgan.results import capacity_figures as drawn
from lgan.results.collect import Group
from lgan.results.columns import DISK_FORMATS
from lgan.results.drift_figures import drift_curves, drifts, is_exact
from lgan.results.tables import Cell, Table

NOISE = "the same noise"
PICTURES = "the same test pictures"
# What a row's `parameters` may hold, and how the report's table heads it.
PARAMETERS = {
    "trained": "trained in the task",
    "added": "added by the task",
    "stored": "stored for all tasks",
    "full": "T × Full",
    "stored / parameters.full": "stored / (T × Full), %",
    "discriminator": "discriminator",
    "total": "total",
    "masked_weights": "maskable weights",
    "norms_heads": "norms and heads",
}


class Picture(NamedTuple):
    """An image as a `data:` URI, with the text for those who cannot see it."""

    uri: str
    alt: str
    caption: str


def picture(png: bytes | None, alt: str, caption: str) -> Picture | None:
    """Return PNG bytes as a picture; None where nothing was drawn."""
    if png is None:
        return None
    return Picture("data:image/png;base64," + base64.b64encode(png).decode("ascii"), alt, caption)


def capacity_pictures(group: Group) -> list[Picture]:
    """Growth, reuse by layer, and the masks' course over the first and the last task."""
    last = len(group.first.rows) - 1
    made = [_growth(group), _reuse(group), *(_evolution(group, t) for t in sorted({0, last}))]
    return [one for one in made if one is not None]


def _growth(group: Group) -> Picture | None:
    sizes = drawn.series(group, drawn.WEIGHTS)
    return picture(
        drawn.growth_curve([group]),
        f"Maskable weights of {group.label}: {sizes[0]:,.0f} for task 1, {sizes[-1]:,.0f} for task "
        f"{len(sizes)}",
        "Size of the generator that each task was trained in. Dashed: linear growth, what tasks "
        "that share nothing would need.",
    )


def _reuse(group: Group) -> Picture | None:
    if not (layers := drawn.capacity(group)):
        return None
    reused, _, reserved = drawn.shares(layers)
    return picture(
        drawn.reuse_shares([group]),
        f"Reuse and capacity of {group.label}: of the last task's mask {100 * reused[-1]:.0f} % "
        f"had been reserved before; {100 * reserved[-1]:.0f} % of all elements are reserved",
        "Left: of each task's mask, what older tasks had reserved and what is new. Right: how much "
        "of each layer is reserved, of what there was while the task was trained.",
    )


def _evolution(group: Group, task: int) -> Picture | None:
    if (course := drawn.evolution_of(group, task)) is None:
        return None
    return picture(
        drawn.mask_evolution([group], task),
        f"Mask values of {group.label} over {len(course['epochs'])} epochs of task {task + 1}; "
        f"{100 * course['nonzero'][-1]:.0f} % end above one half",
        f"Distribution of the mask's values over the epochs of task {task + 1}, seed "
        f"{group.first.seed}.",
    )


def parameter_table(group: Group) -> Table | None:
    """Parameters after each task, means over seeds; None if they were not counted."""
    titles = {f"parameters.{name}": title for name, title in PARAMETERS.items()}
    return _over_tasks(f"parameters of {group.label}", group, titles)


def disk_table(group: Group) -> Table | None:
    """Bytes after each task, means over seeds, a column per format; None if not recorded."""
    titles = {f"disk.{name}": f"{title}, bytes" for name, title in DISK_FORMATS.items()}
    return _over_tasks(f"disk space of {group.label}", group, titles)


def _over_tasks(title: str, group: Group, titles: Mapping[str, str]) -> Table | None:
    """A table of values of the rows, by path; None if no run has any."""
    lines = {path: drawn.series(group, path) for path in titles}
    known = {path: line for path, line in lines.items() if drawn.is_known(line)}
    if not known:
        return None
    rows = [
        [_cell(task + 1), *(_cell(*((100 * line[task], ".1f") if "/" in path else (line[task],)))
                            for path, line in known.items())]
        for task in range(group.first.num_tasks)
    ]  # fmt: skip
    keys = [path.partition(".")[2].replace("parameters.", "") for path in known]
    return Table(title, ["after task", *(titles[path] for path in known)], ["task", *keys], rows)


def _cell(value: float, form: str = ",.0f") -> Cell:
    return Cell("–") if math.isnan(value) else Cell(f"{value:{form}}", float(value))


def retention_table(groups: Sequence[Group]) -> Table | None:
    """How far old tasks' images have moved, a row per method; None if no run measured it."""
    rows = [_retention_row(group) for group in groups]
    if all(row[1].text == "–" for row in rows):
        return None
    titles = ["method", "bitwise the same", "max drift after the last task", "max drift ever",
              "mean drift after the last task"]  # fmt: skip
    return Table("retention", titles, ["method", "exact", "max_drift", "max_drift_ever",
                                       "mean_drift"], rows)  # fmt: skip


def _retention_row(group: Group) -> list[Cell]:
    largest, mean = drifts(group), drifts(group, "mean_drift")
    if np.isnan(largest).all():
        return [Cell(group.label), *[Cell("–")] * 4]
    values = (largest[-1], np.nanmax(largest), mean[-1])
    exact = Cell("yes" if is_exact(group) else "no")
    return [Cell(group.label), exact, *(_cell(value, ".3g") for value in values)]


def retention_picture(groups: Sequence[Group], source: str = NOISE) -> Picture | None:
    """The curves of `retention_table`; `source` says what the images are drawn from."""
    ends = [(group.label, float(drifts(group)[-1])) for group in groups]
    shown = "; ".join(f"{label} {value:.3g}" for label, value in ends if not math.isnan(value))
    return picture(
        drift_curves(groups),
        f"Largest drift of old tasks' images after the last task: {shown}",
        f"How far images of old tasks, from {source}, have moved since their task was learnt: "
        "largest (solid) and mean (dotted) over pixels and tasks. Pixels range from -1 to 1.",
    )
