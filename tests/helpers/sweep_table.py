"""What tests of sweeps share: overrides of a short run, and a reader of the table."""

from __future__ import annotations

import subprocess

SHORT = [
    "training.steps=2",
    "data.num_tasks=2",
    "evaluation=fast",
    "callbacks.samples.per_class=2",
    "callbacks.progress=null",
    "trainer=cpu",
    "threads=1",
]


def table_of(result: subprocess.CompletedProcess) -> list[list[str]]:
    """Return the lines of the table on the screen below its header, cut into cells."""
    lines = result.stdout.splitlines()
    (start,) = [i for i, line in enumerate(lines) if line.startswith("job ")]
    end = next(i for i in range(start, len(lines)) if " job" in lines[i] and ": " in lines[i])
    return [[cell.strip() for cell in line.split("  ") if cell.strip()]
            for line in lines[start + 1 : end]]  # fmt: skip
