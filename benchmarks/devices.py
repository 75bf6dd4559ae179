"""Other devices and precisions: bf16 on this CPU, and what a step reads from and sends to one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import lightning as L  # noqa: N812  (Lightning's own convention)
import torch

from benchmarks.common import Row, spread
from benchmarks.steps import at_task, take_turns
from lgan.launch.compose import compose_run
from lgan.reports.paper import quote
from lgan.training.train import train

ROOT = Path(__file__).parent.parent
HELPERS = ROOT / "tests" / "helpers"
CASES = (
    *("classes: ewc_gan method.fisher_samples=4", "classes: mergan_jtr", "classes: dgm_w"),
    *("classes: dgm_a", "cross entropy: dgr", "pix2pix: piggyback_gan", "pix2pix: piggyback_mask"),
    *("pix2pix: lifelong_gan", "cyclegan: mergan_ra"),
)
"""Of tests/helpers/every_method.py."""
STEPS = 3
"""Of a task; with the fifth a new epoch would begin, whose order is sent once."""


class Crossings(L.Callback):
    """Counts what crosses to or from the pretend device in the steps after a task's first."""

    device: ClassVar[Any] = None
    found: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        self.seen = 0

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:  # noqa: ANN401
        """Count what was noted since the last step's end."""
        events = self.device.events
        if pl_module.step > 1:
            self.found.update(kind for kind, _ in events[self.seen :])
        self.seen = len(events)


def device_rows(quick: bool) -> list[Row]:
    """Measure a step in bf16 on this CPU, and count reads and uploads on a pretend device."""
    plain, mixed = (at_task("sft", ["data=mnist", "training.critic_steps=1"], 0) for _ in range(2))
    pairs = take_turns(plain, in_bf16(mixed), 4 if quick else 12)
    ratios = [b / a for a, b in pairs]
    first, second = (median(side) for side in zip(*pairs, strict=True))
    measured = f"{1e3 * first:.0f} ms, {1e3 * second:.0f} ms; {spread(ratios)}"
    rows = [Row("mergan32's step, bf16 / float32", measured, median(ratios), "reported", True)]
    for case, (reads, uploads) in crossings().items():
        what, none = f"{case}: host reads per step, logs left out", reads == uploads == 0
        rows.append(Row(what, f"{uploads:.2f} uploads", reads, "0, no uploads", none))
    return rows


def in_bf16(step: Callable[[], None]) -> Callable[[], None]:
    """Return the step as `trainer.precision=bf16-mixed` takes it on a CPU."""

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            step()

    return run


def crossings() -> dict[str, tuple[float, float]]:
    """Return reads and uploads per step of each case, of a process with the pretend device.

    Autograd would know nothing of a device that came after the first backward pass.
    """
    command = [sys.executable, "-m", "benchmarks.devices"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Train two tasks of each case on the pretend accelerator; print what crossed, as JSON."""
    sys.path[:0] = [str(ROOT), str(HELPERS)]
    from every_method import CASES as overrides  # type: ignore[import-not-found]
    from pretend import Pretend  # type: ignore[import-not-found]

    from benchmarks.devices import Crossings  # the class that the config names

    found = {}
    for case in CASES:
        Crossings.found.clear()
        with tempfile.TemporaryDirectory() as folder, Pretend() as Crossings.device:
            own = [
                *("trust=[benchmarks,pretend_run]", f"training.steps={STEPS}"),
                "trainer._target_=pretend_run.pretend_trainer",
                *("callbacks.guard.every=1000", "callbacks.losses.every=1000"),
                "callbacks.samples=null",
                "+callbacks.crossings._target_=benchmarks.devices.Crossings",
                f"run_dir={quote(f'{folder}/run')}",
            ]
            train(compose_run([*overrides[case], *own]))
        each = [Crossings.found[kind] / (2 * (STEPS - 1)) for kind in ("read", "upload")]
        found[case] = each
    print(json.dumps(found))


if __name__ == "__main__":
    main()
