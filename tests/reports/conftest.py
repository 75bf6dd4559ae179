"""Runs made by hand: records, configs and samples in a temporary folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lgan.files import save_tensors
from lgan.run.record import RunRecord

# accuracy_generated of two tasks: (seed 0, seed 1); worked by hand in the tests.
ACCURACY = {0: [[0.9], [0.5, 0.8]], 1: [[0.8], [0.6, 0.7]]}
FID = {0: [[10.0], [20.0, 12.0]], 1: [[14.0], [24.0, 16.0]]}
HOSTILE_METHOD = "a_b&c%"
HOSTILE_CLASS = "<script>alert(1)</script>"


def row(task: int, seed: int, fid: str = "fid_classifier") -> dict[str, Any]:
    metrics = [
        {"accuracy_generated": a, fid: f, "diversity": 0.9}
        for a, f in zip(ACCURACY[seed][task], FID[seed][task], strict=True)
    ]
    accuracies = ACCURACY[seed][task]
    return {
        "task": task,
        "steps": 10,
        "train_seconds": 2.0,
        "evaluation_seconds": 1.0,
        "metrics": metrics,
        "overall": {"accuracy_generated": sum(accuracies) / len(accuracies), "diversity": 0.9},
        "per_class": {},
        "parameters": {"trained": 1000, "stored": 1000, "discriminator": 500, "total": 1500},
        "retention": [
            {"digest": "ab", "exact": j == task, "max_drift": 0.5 * (j < task), "mean_drift": 0.25}
            for j in range(task + 1)
        ],
    }


def make_record(method: str = "sft", seed: int = 0, rows: int = 2, **fields: Any) -> RunRecord:
    fid = fields.pop("fid", "fid_classifier")
    references = {
        "classifier": "small_cnn-ab12cd",
        "classifier_test_accuracy": 0.98,
        "samples_per_class": 100,
        "feature_extractor": "classifier",
        "feature_extractor_key": "features-1",
        "reference_split": "test",
        "reference_images": {"0": 40, "1": 60},
    } | fields.pop("references", {})
    known = {
        "data": "digits",
        "preset": "code",
        "status": "complete" if rows == 2 else "running",
        "num_tasks": 2,
        "tasks": [
            {"index": 0, "classes": [0], "class_names": [HOSTILE_CLASS]},
            {"index": 1, "classes": [1], "class_names": ["one"]},
        ],
        "rows": [row(task, seed, fid) for task in range(rows)],
        "references": references,
        "content": content(),
    } | fields
    return RunRecord(method=method, seed=seed, **known)


def content(digest: str = "c0ffee00") -> dict[str, Any]:
    """Return what a record says of the pictures."""
    counts = {"train": 50, "validation": 0, "test": 40, "digest": digest}
    return {"digest": digest, "by": "content", "root": None, "classes": {"zero": counts}}


MASKED_SIZES = {0: [100, 160], 1: [100, 180]}  # by seed, for tasks 1 and 2


def make_masked_row(task: int, seed: int) -> dict[str, Any]:
    """Return a row as DGM writes it; two layers, one with a dot in its name."""
    size = MASKED_SIZES[seed][task]
    # task 1 reserves 20 of 80 and 10 of 20; task 2 adds 30 and 0, and reuses 5 and 5
    first = {"width": 4, "trained_size": 80, "reserved": 20, "newly": 20, "reused": 0}
    other = {"width": 2, "trained_size": 20, "reserved": 10, "newly": 10, "reused": 0}
    later = {"width": 6, "trained_size": 140, "reserved": 50, "newly": 30, "reused": 5}
    last = {"width": 2, "trained_size": 20, "reserved": 10, "newly": 0, "reused": 5}
    fractions = [[0.0] * 5 + [1.0] + [0.0] * 4, [0.75] + [0.0] * 8 + [0.25]]
    made = row(task, seed)
    made["parameters"] |= {"masked_weights": size, "norms_heads": 10 * (task + 1)}
    return made | {
        "capacity": [{"fc": first, "block.0": other}, {"fc": later, "block.0": last}][task],
        "disk": {"weights_fp32": 4 * size, "masks_packed_bits": 13 * (task + 1)},
        "mask_evolution": {
            "epochs": [0, 1],
            "edges": [i / 10 for i in range(11)],
            "fractions": fractions,
            "nonzero": [1.0, 0.25],
        },
    }


def make_masked_record(seed: int) -> RunRecord:
    record = make_record("masked", seed)
    record.rows = [make_masked_row(task, seed) for task in range(2)]
    return record


@pytest.fixture
def plain_record() -> RunRecord:
    """Return the record of a run without masks."""
    return make_record("plain")


@pytest.fixture
def masked_record() -> Callable[[int], RunRecord]:
    """Return a maker, by seed, of records of a run with masks."""
    return make_masked_record


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of run folders below `tmp_path/runs`."""

    def make(
        method: str = "sft",
        seed: int = 0,
        config: dict[str, Any] | None = None,
        name: str = "",
        **fields: Any,
    ) -> Path:
        count = len(list((tmp_path / "runs").glob("*")))
        folder = tmp_path / "runs" / (name or f"run{count}")
        record = make_record(method, seed, **fields)
        record.save(folder)
        content = {
            "seed": seed,
            "preset": {"name": record.preset},
            "data": {"seed": seed, "steps": 10, "root": f"/somewhere/{seed}"},
            "training": {"steps": 10},
            "paths": {"runs": str(folder.parent)},
            "run_dir": str(folder),
        } | (config or {})
        (folder / "config.yaml").write_text(yaml.safe_dump(content))
        return folder

    return make


@pytest.fixture
def runs(make_run: Callable[..., Path], tmp_path: Path) -> Path:
    """Return a folder with two seeds of sft, one of a hostile name, one of joint."""
    make_run("sft", 0)
    make_run("sft", 1)
    make_run(HOSTILE_METHOD, 0)
    make_run("joint", 0, declaration="uses all real data")
    return tmp_path / "runs"


@pytest.fixture
def write_samples() -> Callable[..., None]:
    """Return a writer of class k as images of one grey value, 10 + 40 k + t after task t."""

    def write(folder: Path, tasks: int = 2, size: int = 8) -> None:
        for t in range(tasks):
            levels = [(10 + 40 * k + t) % 256 for k in range(t + 1)]
            values = torch.tensor(levels, dtype=torch.uint8)
            images = values.view(-1, 1, 1, 1, 1).repeat(1, 3, 1, size, size)
            content = {"classes": list(range(t + 1)), "images": images}
            save_tensors(folder / f"samples/task{t}.pt", content)

    return write
