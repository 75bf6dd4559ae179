"""What one evaluation holds in memory at 64 x 64 pixels, with few classes and with many."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common import Row, build_method, compose, peak_memory
from benchmarks.steps import use_one_thread
from lgan.callbacks.evaluation import MethodSampler, evaluation_source
from lgan.reports.paper import quote
from lgan.training import build

ROOT = Path(__file__).parent.parent
FEW, MANY = 20, 200
MOST = 512
"""MiB that the evaluation of many classes may add."""


def evaluation_rows(quick: bool) -> list[Row]:
    """Measure what evaluating 20 and 200 tasks of a class adds; `quick`: with few images each."""
    samples = 20 if quick else 200
    few, many = (extra_memory(classes, samples) for classes in (FEW, MANY))
    measured = f"{few:.0f} MiB, {many:.0f} MiB, {samples} images of each"
    what = f"{MANY} classes / {FEW}, beyond what was held before"
    return [Row(what, measured, many / few, f"at most {MOST} MiB", many <= MOST)]


def extra_memory(classes: int, samples: int) -> float:
    """Return what an evaluation adds to the memory, in MiB, measured in a process of its own.

    Args:
        classes: number of classes, each a task.
        samples: generated images of each class.
    """
    command = [sys.executable, "-m", "benchmarks.evaluating", str(classes), str(samples)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def resident() -> float:
    """Return the memory that the process holds now, in MiB (Linux; elsewhere its peak)."""
    now = Path("/proc/self/statm")
    if not now.exists():
        return peak_memory()
    return int(now.read_text().split()[1]) * resource.getpagesize() / 2**20


def main() -> None:
    """Evaluate an untrained mergan64, an eighth as wide if no width is given; print MiB."""
    classes, samples, width = (int(each) for each in [*sys.argv[1:], "8"][:3])
    use_one_thread()
    with tempfile.TemporaryDirectory() as folder:
        own = [
            *("data=image_folder", "data.splits.size=64", "network=mergan64", "method=sft"),
            *(f"network.generator.width={width}", "network.discriminator.width=8"),
            *(f"evaluation.samples_per_class={samples}", "evaluation.classifier_training.steps=20"),
            "data.warn_below=0",
            f"paths.cache={quote(folder)}",
        ]
        config = compose(own, 64, 12, classes)
        config.data.splits = {**config.data.splits, "channels": 3, "held_out": 12}
        datamodule = build.build_datamodule(config)
        method = build_method(config, datamodule).eval()
        evaluator = build.make(config, "evaluation")
        evaluator.prepare(datamodule, method.device)
        sampler = MethodSampler(method, evaluation_source(method, datamodule, 0))
        before = resident()
        evaluator.evaluate(lambda: sampler, None, classes - 1, method.draws_jointly)
        print(json.dumps(peak_memory() - before))


if __name__ == "__main__":
    main()
