"""What checkpoints may cost."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lgan.callbacks import checkpoint
from lgan.callbacks.checkpoint import StepCheckpoint
from lgan.run import checkpoints


@pytest.mark.parametrize(
    ("took", "share", "written"),
    [
        # A step takes a second. Writing takes 3: with a tenth of the time, 30 seconds must pass.
        (3.0, 0.1, [10, 40, 70, 95]),
        (3.0, None, [*range(10, 91, 10), 95]),
        (0.5, 0.01, [*range(10, 91, 10), 95]),
    ],
)
def test_dear_checkpoints_are_passed_over(tmp_path, monkeypatch, took, share, written) -> None:
    clock, found = SimpleNamespace(now=0.0), []

    def write(trainer, path, method) -> None:
        found.append(method.step)
        clock.now += took

    monkeypatch.setattr(checkpoints, "write", write)
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock.now)
    callback = StepCheckpoint(tmp_path, every=10, share=share)
    for step in range(1, 96):
        clock.now += 1.0
        callback.on_train_batch_end(
            SimpleNamespace(num_training_batches=95), SimpleNamespace(step=step)
        )
    assert found == written
