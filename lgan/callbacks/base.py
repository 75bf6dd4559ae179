"""The task border as an event.

A fresh Trainer fits each task, so Lightning's own hooks cannot see the border as a whole. The
runner calls `on_task_start` before a task is begun, with the networks as the last task left them,
and `on_task_end` when it is over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from lightning import Callback
from lightning.pytorch.loggers import Logger
from torch import Tensor

from lgan.data.datamodule import TaskSequenceDataModule


class Learner(Protocol):
    """A method as callbacks see it: a part of `lgan.methods.base.LifelongGAN`, above this room."""

    name: str
    generator: Any
    noise_rows: int
    total_steps: int
    has_generator: bool
    has_classifier: bool

    @property
    def device(self) -> torch.device:
        """Where the networks are."""

    def eval(self) -> Any:  # noqa: ANN401
        """Switch to evaluation mode."""

    def generate(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return images of the classes from the noise."""

    def classify(self, images: Tensor) -> Tensor:
        """Return class logits; only where there is a classifier."""

    def parameter_counts(self) -> dict[str, int]:
        """Count parameters: trained, stored, discriminator, total."""


@dataclass
class TaskContext:
    """What a callback may see and write at a task border.

    Args:
        method: the method; its networks are on the evaluation device.
        datamodule: the only door to data.
        task: index of the task that begins or has just ended.
        folder: the run's folder.
        loggers: where numbers and pictures go.
        row: what is recorded of this task, as in results.json; callbacks add to it.
        references: what the run's numbers depend on, as in results.json; callbacks add to it.
        earlier_rows: the rows of the tasks before.
    """

    method: Learner
    datamodule: TaskSequenceDataModule
    task: int
    folder: Path
    loggers: list[Logger] = field(default_factory=list)
    row: dict[str, Any] = field(default_factory=dict)
    references: dict[str, Any] = field(default_factory=dict)
    earlier_rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def step(self) -> int:
        """Generator steps of all tasks so far: the step of every logged number."""
        return self.method.total_steps


class TaskCallback(Callback):
    """A Lightning callback that also hears of task borders."""

    declaration: ClassVar[str] = ""
    """The rule of the protocol that the callback breaks; stands with the method's in tables."""

    def check(self, method: Learner, datamodule: TaskSequenceDataModule | None) -> None:
        """Raise a ConfigError if the callback cannot do its work; called before a run begins.

        Args:
            method: built.
            datamodule: None where only what the method tells is asked, without data.
        """

    def on_task_start(self, context: TaskContext) -> None:
        """Run before a task's fit."""

    def on_task_end(self, context: TaskContext) -> None:
        """Run after a task was fitted and consolidated."""


def announce(event: str, callbacks: Iterable[Callback], context: TaskContext) -> None:
    """Call a hook of `TaskCallback` of all callbacks that have it, in order."""
    for callback in callbacks:
        hook = getattr(callback, event, None)
        if hook is not None:
            hook(context)
