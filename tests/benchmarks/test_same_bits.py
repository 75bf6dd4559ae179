"""The comparison of two folders of runs, on records and tensors made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.same_bits import missing_or_changed, runs_of
from lgan.files import save_tensors


def make(folder: Path, rows: list[dict[str, Any]], weight: float = 1.0) -> Path:
    record = {"data": "digits", "method": "sft", "seed": 0, "rows": rows}
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(record))
    # Task 10 is the last one, though "task9" stands behind it in the alphabet.
    save_tensors(folder / "checkpoints/task9.pt", {"state": {"w": torch.tensor([0.0])}})
    save_tensors(folder / "checkpoints/task10.pt", {"state": {"w": torch.tensor([weight])}})
    return folder


ROWS = [{"metrics": [{"l1": 0.5}], "train_seconds": 3.0}]


@pytest.mark.parametrize(
    ("rows", "weight", "found"),
    [
        ([{"metrics": [{"l1": 0.5, "new": 1}], "train_seconds": 4.0}], 1.0, []),
        ([{"metrics": [{"l1": 0.25}]}], 1.0, ["rows[0].metrics[0].l1"]),
        ([{"metrics": [{}]}], 1.0, ["rows[0].metrics[0].l1"]),
        ([], 1.0, ["rows[0]"]),
        (ROWS, 1.0 + 2**-23, ["tensor w"]),
    ],
)
def test_what_is_missing_or_changed_is_named(tmp_path, rows, weight, found) -> None:
    old, new = make(tmp_path / "old", ROWS), make(tmp_path / "new", rows, weight)
    assert missing_or_changed(old, new) == found


def test_runs_are_found_by_what_they_are(tmp_path) -> None:
    run = make(tmp_path / "any-name", ROWS)
    assert runs_of(tmp_path) == {("digits", "sft", 0): run}
