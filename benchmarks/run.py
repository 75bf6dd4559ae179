"""Measure lgan's speed and print Markdown: `python -m benchmarks.run [--quick] [--device cuda]`.

Every ratio compares two things measured in the same process, in turns. A missed target is printed
and changes nothing else: the exit code is 0, as times are the machine's as much as the code's.
"""

from __future__ import annotations

import argparse
import platform

import torch

from benchmarks.checkpointing import checkpoint_rows
from benchmarks.common import TRAINERS, peak_memory, render, use_device
from benchmarks.devices import device_rows
from benchmarks.evaluating import evaluation_rows
from benchmarks.extending import extending_rows
from benchmarks.growing import growing_rows
from benchmarks.loading import loading_rows
from benchmarks.many_tasks import many_task_rows
from benchmarks.scaling import scaling_rows
from benchmarks.steps import framework_rows, task_rows, use_one_thread
from benchmarks.translation import translation_rows
from lgan.training.train import quieten

ANY_DEVICE = (
    ("Training step: lgan / bare PyTorch loop", framework_rows),
    ("Step in the last task / in the second (ten tasks, mergan32, batch 64)", task_rows),
    ("DGM: masks, growth and replay (MNIST's networks, batch 64)", growing_rows),
    (
        "Many tasks: last step / the second task's, what is kept (batch 64)",
        many_task_rows,
    ),
)
PARTS = (
    *ANY_DEVICE,
    ("A finished run extended by a task / the task in one go (digits)", extending_rows),
    ("Translation: Piggyback GAN, exported networks, lgan's loop (batch 1)", translation_rows),
    ("Evaluation: memory it adds (64 x 64)", evaluation_rows),
    ("Checkpoints inside a task, default interval: share of training time", checkpoint_rows),
    ("Several processes: efficiency (speed of N / N times the speed of one)", scaling_rows),
    ("Batches per second: lgan's loader / torch DataLoader", loading_rows),
    ("Any device: bf16 on this CPU, and what a step reads from an accelerator", device_rows),
)


def main() -> None:
    """Run all benchmarks and print each table when it is measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, a few minutes")
    parser.add_argument("--device", choices=TRAINERS, default="cpu",
                        help="cuda: steps on the GPU; the other parts are the CPU's")  # fmt: skip
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no GPU here")
    quick, parts = given.quick, PARTS if given.device == "cpu" else ANY_DEVICE
    use_device(given.device)
    use_one_thread()
    quieten()
    machine = platform.machine() if given.device == "cpu" else torch.cuda.get_device_name()
    where = f"torch {torch.__version__}, Python {platform.python_version()}, {machine}"
    print(f"# Benchmarks ({'quick' if quick else 'full'})\n\n{where}, one CPU thread; medians.\n")
    peaks = []
    for title, measure in parts:
        print(render(title, measure(quick)), flush=True)
        peaks.append((title, peak_memory()))
    print("## Peak memory (resident, whole process, so far)\n\n| after | MiB |\n|---|---:|")
    print("\n".join(f"| {title} | {peak:.0f} |" for title, peak in peaks))


if __name__ == "__main__":
    main()
