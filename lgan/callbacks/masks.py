"""What a growing generator needs at and between task borders: room, protection, binary masks."""

from __future__ import annotations

from typing import Any, Protocol

import lightning as L
import torch

from lgan.errors import ConfigError


class Growing(Protocol):
    """A generator under masks, as these callbacks know it (`lgan.layers.growing`)."""

    @property
    def tasks(self) -> list[Any]:
        """What the network looks like for each task so far."""
        ...

    def add_task(self, classes: Any) -> None:  # noqa: ANN401
        """Widen the network and start a task on it."""
        ...

    def protect(self) -> None:
        """Take the gradients away from weights that older tasks use."""
        ...

    def commit(self) -> None:
        """Binarise and cumulate the current task's masks."""
        ...


class ExpandLayers(L.Callback):
    """Make room up to the current task, before the strategy wraps the module; idempotent."""

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:  # noqa: ANN401
        """Add the tasks that the generator does not have yet."""
        generator: Growing = pl_module.generator
        if stage == "fit":
            for task in range(len(generator.tasks), pl_module.task_index + 1):
                generator.add_task(pl_module.task_classes[task])


class CumulateMasks(L.Callback):
    """Protect what older tasks use before each step of the generator; binarise at the border."""

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:  # noqa: ANN401
        """Refuse another callback of this kind, which would protect in this one's place or twice.

        Raises:
            ConfigError: the Trainer has a subclass of this one (Lightning replaces the same type).
        """
        kinds = [c for c in trainer.callbacks if isinstance(c, CumulateMasks)]  # type: ignore[attr-defined]
        others = [c for c in kinds if type(c) is not CumulateMasks]
        if others:
            raise ConfigError(
                f"callbacks: {type(others[0]).__name__} is a kind of CumulateMasks, which "
                f"method={pl_module.name} brings itself; remove it from the callbacks."
            )

    def on_before_optimizer_step(
        self,
        trainer: L.Trainer,
        pl_module: Any,  # noqa: ANN401
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Zero the gradients of reserved weights; with fresh Adam moments they do not move."""
        if optimizer is trainer.optimizers[0]:
            pl_module.generator.protect()

    @staticmethod
    def consolidate(generator: Growing) -> None:
        """Binarise the current task's masks and add them to the cumulated ones."""
        generator.commit()
