"""What a GPU alone can tell; the pretend accelerator stands in for it elsewhere."""

from __future__ import annotations

import warnings
from typing import Any

import lightning as L
import pytest
import torch
from every_method import CASES, EXACT, WHOLE

from lgan.run.borders import load_border
from lgan.run.record import RunRecord
from lgan.training import train as training
from lgan.training.train import train

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
NO_LOOKS = ["callbacks.guard.every=1000", "callbacks.losses.every=1000"]


class Waits(L.Callback):
    """Let CUDA warn of each wait of the host from a task's second step to its last but one."""

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        inside = 1 <= pl_module.step < trainer.num_training_batches - 1
        torch.cuda.set_sync_debug_mode("warn" if inside else "default")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("name", WHOLE)
def test_no_step_waits_for_the_gpu(name: str, precision: str, configure, monkeypatch) -> None:
    build = training.build_learner

    def with_waits(*parts: Any) -> Any:
        method, callbacks = build(*parts)
        return method, [*callbacks, Waits()]

    monkeypatch.setattr(training, "build_learner", with_waits)
    settings = ["trainer=gpu", f"trainer.precision={precision}", "training.steps=4", *NO_LOOKS]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        folder = train(configure(*CASES[name], *settings))
    # Not what CUDA says once of the mode itself, which names "synchronizing operations", too.
    waits = [each for each in found if "called a synchronizing" in str(each.message)]
    assert not waits, "\n".join(str(each.message) for each in waits)
    assert name not in EXACT or RunRecord.load(folder).rows[-1]["retention"][0]["exact"]


@pytest.mark.parametrize("name", WHOLE)
def test_losses_are_scaled_in_float16(name: str, configure) -> None:
    """The first scale, 65,536, may be too large; whatever happens, weights stay finite."""
    settings = ["trainer=gpu", "trainer.precision=16-mixed", "training.steps=20"]
    folder = train(configure(*CASES[name], *settings))
    state = load_border(folder / "checkpoints/task1.pt")["state"]
    assert all(torch.isfinite(tensor).all() for tensor in state.values())
    assert name not in EXACT or RunRecord.load(folder).rows[-1]["retention"][0]["exact"]
