"""Speed of several processes against one, at the same global batch, through `lgan-train` itself."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from statistics import median

import torch
from tqdm import tqdm

from benchmarks.common import Row
from benchmarks.soak_campaign import read_trace
from benchmarks.soak_children import Child
from benchmarks.steps import OFF
from lgan.errors import RunError
from lgan.reports.paper import quote

WARM_UP = 3
"""Steps that are not timed: the first ones plan and allocate."""


def seconds_per_step(devices: int, accelerator: str, steps: int) -> float:
    """Return the median time of a step of a run with so many processes.

    MeRGAN's networks, 32 pixels, fine-tuning, a global batch of 64; one CPU thread each.

    Raises:
        RunError: the run failed; the text is its own.
    """
    several = ["trainer=ddp", f"trainer.devices={devices}", f"trainer.accelerator={accelerator}"]
    one = [f"trainer={accelerator}"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        child = Child(
            [
                "trust=[benchmarks]",
                "data=mnist",
                "method=sft",
                "~data.splits",
                "+data.splits={_target_:benchmarks.common.synthetic,_partial_:true}",
                "data.num_tasks=1",
                f"training.steps={steps + WARM_UP}",
                "threads=1",
                *(several if devices > 1 else one),
                *(f"callbacks.{key}=null" for key in (*OFF, "progress", "checkpoint")),
                "+callbacks.trace._target_=benchmarks.faults.Trace",
                f"+callbacks.trace.path={quote(str(folder / 'trace'))}",
                f"run_dir={quote(str(folder / 'run'))}",
            ],
            folder / "log",
        )
        try:
            code = child.ended()
        finally:
            child.kill_all()
        if code != 0:
            last = (child.output().strip().splitlines() or ["no output"])[-1]
            raise RunError(f"lgan-train with {devices} processes ended with code {code}: {last}")
        times = [when for *_, when in read_trace(folder / "trace")][WARM_UP - 1 :]
    return median(b - a for a, b in zip(times, times[1:], strict=False))


def scaling_rows(quick: bool) -> list[Row]:
    """Measure the efficiency of two CPU processes (gloo), and of the GPUs there are (NCCL)."""
    rows = [_row(2, "cpu", 8 if quick else 20, 1 if quick else 3)]
    gpus = torch.cuda.device_count()
    if gpus < 2:
        there = "no GPU" if not gpus else "a single GPU"
        return [*rows, Row("GPUs (NCCL)", f"skipped: {there} here", math.nan, "reported", None)]
    counts = [2**n for n in range(1, gpus.bit_length())]
    return rows + [_row(count, "gpu", 50 if quick else 200, 1 if quick else 3) for count in counts]


def _row(devices: int, accelerator: str, steps: int, repetitions: int) -> Row:
    what = f"{devices} processes on {accelerator.upper()}, global batch 64"
    try:
        pairs = [
            tuple(seconds_per_step(n, accelerator, steps) for n in (1, devices))
            for _ in tqdm(range(repetitions), desc="scaling", unit="pair")
        ]
    except RunError as error:
        return Row(what, str(error).replace("|", "/"), math.nan, "reported", False)
    alone, together = (median(side) for side in zip(*pairs, strict=True))
    efficiency = median(a / b / devices for a, b in pairs)
    measured = f"1: {1e3 * alone:.0f} ms, {devices}: {1e3 * together:.0f} ms per step"
    return Row(what, measured, efficiency, "reported (1: perfect)", True)
