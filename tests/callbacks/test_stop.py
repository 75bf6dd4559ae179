"""When a signal is looked at."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest
import torch

from lgan import distributed
from lgan.callbacks.stop import StopOnSignal
from lgan.run import checkpoints, signals


@pytest.mark.parametrize(
    ("world", "step", "leaves"),
    [(1, 3, True), (2, 3, False), (2, 10, True), (2, 95, True)],
)
def test_one_process_looks_at_each_step_and_several_when_all_do(
    tmp_path, monkeypatch, world, step, leaves
) -> None:
    watch, written = SimpleNamespace(received=0), []
    monkeypatch.setattr(signals, "current", lambda: watch)
    monkeypatch.setattr(distributed, "world", lambda: world)
    monkeypatch.setattr(distributed, "largest", lambda number, device: number)
    monkeypatch.setattr(checkpoints, "write", lambda trainer, path, method: written.append(path))
    trainer = SimpleNamespace(num_training_batches=95)
    method = SimpleNamespace(step=step, task_index=1, device=torch.device("cpu"))
    callback = StopOnSignal(tmp_path, every=10)
    callback.on_train_batch_end(trainer, method)
    watch.received = signal.SIGTERM
    if not leaves:
        callback.on_train_batch_end(trainer, method)
        assert not written
        return
    with pytest.raises(signals.StopBySignal) as stop:
        callback.on_train_batch_end(trainer, method)
    assert written == [tmp_path / "last.ckpt"]
    assert stop.value.sentence.startswith(f"stopped by SIGTERM at task 1, step {step}")
