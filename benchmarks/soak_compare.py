"""Whether a run that was disturbed ended as the one that was not: bit by bit, file by file."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from lgan.run.borders import load_border
from lgan.run.record import FILE_NAME

TIMES = "seconds"
"""Names that end so are times: they may differ."""
EVENTS = "events"
"""What a record says of its run's history: a damaged file is noted there."""
PASSING = {"last.ckpt", "previous.ckpt"}
"""Checkpoints inside a task, which need not outlive it."""


def differences(reference: Path, run: Path) -> list[str]:
    """Return a sentence for everything in which two finished runs differ, times excepted.

    Args:
        reference: folder of the undisturbed run.
        run: folder of the other.
    """
    return [
        *_tensor_files(reference, run, "checkpoints"),
        *_tensor_files(reference, run, "samples"),
        *_tensor_files(reference, run, "."),  # a router
        *_pictures(reference, run),
        *_records(reference, run),
        *_metrics(reference, run),
        *(f"{path.relative_to(run)} was left behind" for path in sorted(run.rglob("*.tmp"))),
    ]


def _tensor_files(reference: Path, run: Path, folder: str) -> Iterator[str]:
    expected, found = (
        {p.name for p in (place / folder).glob("*.pt")} - PASSING for place in (reference, run)
    )
    for name in sorted(expected ^ found):
        yield f"{folder}/{name} is {'missing' if name in expected else 'too many'}"
    for name in sorted(expected & found):
        ours, theirs = (load_border(place / folder / name) for place in (run, reference))
        for key in unequal(theirs, ours):
            yield f"{folder}/{name}: {key} differs"


def unequal(expected: Any, found: Any, name: str = "") -> Iterator[str]:  # noqa: ANN401
    """Yield the names of everything in nested plain data and tensors that is not the same bits."""
    if type(expected) is not type(found):
        yield name
    elif isinstance(expected, dict):
        for key in expected.keys() | found.keys():
            pair = (expected.get(key, Absent), found.get(key, Absent))
            yield from unequal(*pair, f"{name}.{key}" if name else str(key))
    elif isinstance(expected, list | tuple):
        pairs = zip_longest(expected, found, fillvalue=Absent)
        for index, pair in enumerate(pairs):
            yield from unequal(*pair, f"{name}[{index}]")
    elif isinstance(expected, torch.Tensor):
        if not same_bits(expected, found):
            yield name
    elif repr(expected) != repr(found):  # NaN is NaN here
        yield name


class Absent:
    """Stands for an entry that the other side has alone."""


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Return whether two tensors have type, shape and every bit in common."""
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return False
    flat = [t.detach().cpu().contiguous().reshape(-1).view(torch.uint8) for t in (a, b)]
    return torch.equal(*flat)


def _pictures(reference: Path, run: Path) -> Iterator[str]:
    expected, found = (
        {p.relative_to(place): p.read_bytes() for p in (place / "samples").rglob("*.png")}
        for place in (reference, run)
    )
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            yield f"{name} differs"


def _records(reference: Path, run: Path) -> Iterator[str]:
    expected, found = (
        without_times(json.loads((place / FILE_NAME).read_text())) for place in (reference, run)
    )
    for record in (expected, found):
        record.pop(EVENTS, None)
    for key in unequal(expected, found):
        yield f"{FILE_NAME}: {key} differs"


def without_times(value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """Return plain data without the entries that are times."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if not k.endswith(TIMES)}
    if isinstance(value, list):
        return [without_times(inner) for inner in value]
    return value


def _metrics(reference: Path, run: Path) -> Iterator[str]:
    expected, found = (_lines(place / "metrics.csv") for place in (reference, run))
    twice = [key for key, count in Counter(key for key, _ in found).items() if count > 1]
    for step, name in twice:
        yield f"metrics.csv: step {step} of {name} was logged twice"
    for step, name in sorted({key for key, _ in set(expected) ^ set(found)}):
        yield f"metrics.csv: step {step} of {name} differs"


def _lines(path: Path) -> list[tuple[tuple[str, str], str]]:
    with path.open(newline="") as file:
        rows = [(row["step"], row["name"], row["value"]) for row in csv.DictReader(file)]
    return [((step, name), value) for step, name, value in rows if not name.endswith(TIMES)]
