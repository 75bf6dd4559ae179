"""What makes a run last a second."""

from __future__ import annotations

SHORT = [
    "training.steps=4",
    "data.num_tasks=2",
    "evaluation=fast",
    "callbacks.samples.per_class=2",
    "callbacks.progress=null",
    "trainer=cpu",
]
