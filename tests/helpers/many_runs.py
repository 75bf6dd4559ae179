"""Runs made by hand, of many methods and tasks, such as a report has to show."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import yaml

from lgan.files import save_tensors
from lgan.run.record import RunRecord
from lgan.run.samples import shows_all


def write_runs(folder: Path, methods: int = 3, tasks: int = 4, size: int = 8) -> None:
    """Write complete runs of methods that forget at different rates, with pictures of noise."""
    torch.manual_seed(0)
    for index in range(methods):
        rows = [_row(index, t) for t in range(tasks)]
        names = [{"index": t, "classes": [t], "class_names": [f"class {t}"]} for t in range(tasks)]
        record = RunRecord(
            "synthetic", f"method{index}", 0, tasks, preset="code", status="complete", tasks=names,
            rows=rows, references={"classifier": "cnn-1", "classifier_test_accuracy": 0.98},
        )  # fmt: skip
        run = folder / f"run{index}"
        record.save(run)
        (run / "config.yaml").write_text(yaml.safe_dump({"seed": 0, "training": {"steps": 10}}))
        images = torch.randint(256, (tasks, 4, 1, size, size), dtype=torch.uint8)
        for t in range(tasks):
            if shows_all(t) or t == tasks - 1:
                seen = {"classes": list(range(t + 1)), "images": images[: t + 1]}
                save_tensors(run / f"samples/task{t}.pt", seen)
        save_tensors(run / "samples/real.pt", {"classes": list(range(tasks)), "real": 255 - images})


def _row(index: int, t: int) -> dict:
    kept = [math.exp(-index * (t - j) / 60) for j in range(t + 1)]
    metrics = [{"accuracy_generated": a, "accuracy_single_head": a / 2,
                "fid_classifier": 90 - 80 * a} for a in kept]  # fmt: skip
    stored = 1000 * (index + 1) + 100 * t
    return {
        "task": t, "train_seconds": 10.0 + index, "metrics": metrics,
        "overall": {"accuracy_generated": sum(kept) / len(kept)},
        "parameters": {"trained": 1000, "stored": stored, "full": 1000 * (t + 1), "total": stored},
        "retention": [{"digest": "ab", "exact": index == 0 or j == t, "mean_drift": index / 100,
                       "max_drift": index / 10 * (j < t)} for j in range(t + 1)],
    }  # fmt: skip
