"""What of Lightning's loop a task's Trainer leaves out, and what stays."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import LambdaCallback
from torch import Tensor
from torch.utils.data import DataLoader

from lgan.training.trainer import task_trainer

HOOKS = ("on_before_backward", "on_after_backward", "on_before_optimizer_step")


class Line(L.LightningModule):
    """A weight that two optimizer steps of each batch move, by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization, self.layer = False, torch.nn.Linear(1, 1)

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        optimizer: Any = self.optimizers()
        for _ in range(2):
            optimizer.zero_grad()
            self.manual_backward(self.layer(batch).square().sum())
            optimizer.step()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go where a Trainer may leave its checkpoints, as it does unless it is told not to."""
    monkeypatch.chdir(tmp_path)


def fit(module: L.LightningModule, *callbacks: L.Callback) -> L.Trainer:
    trainer = task_trainer(accelerator="cpu", callbacks=list(callbacks))
    trainer.fit(module, DataLoader(torch.ones(3, 1), batch_size=1))  # type: ignore[arg-type]
    return trainer


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_around_optimizer_steps_is_called_where_somebody_has_it(hook: str) -> None:
    heard: list[str] = []
    of_module, of_class = Line(), type("Own", (L.Callback,), {hook: lambda *_: heard.append("c")})
    setattr(of_module, hook, lambda *_: heard.append("m"))
    for module, callbacks in ((of_module, []), (Line(), [of_class()])):
        assert fit(module, *callbacks).global_step == 6
    fit(Line(), LambdaCallback(**{hook: lambda *_: heard.append("l")}))  # type: ignore[arg-type]
    assert heard == 6 * ["m"] + 6 * ["c"] + 6 * ["l"]


def test_weights_are_those_of_a_plain_trainer() -> None:
    torch.manual_seed(0)
    ours, plain = Line(), Line()
    plain.load_state_dict(ours.state_dict())
    trainer = fit(ours)
    rest = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    other = L.Trainer(accelerator="cpu", max_epochs=1, **rest)  # type: ignore[arg-type]
    other.fit(plain, DataLoader(torch.ones(3, 1), batch_size=1))  # type: ignore[arg-type]
    assert trainer.precision == other.precision == "32-true"
    assert all(map(torch.equal, ours.parameters(), plain.parameters()))
