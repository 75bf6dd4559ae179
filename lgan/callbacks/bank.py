"""What a generator that keeps older tasks' tensors needs at a task border."""

from __future__ import annotations

from typing import Any, Protocol

import lightning as L

from lgan.errors import RunError


class Committing(Protocol):
    """A generator with a border, as this callback knows it."""

    def commit(self) -> None:
        """Fix what the current task has learnt."""
        ...


class FreezeFilterBank(L.Callback):
    """Append what a task was free to learn to the bank, and see that nothing frozen is trained."""

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:  # noqa: ANN401
        """Check that the optimizer holds live parameters of the generator only.

        Raises:
            RunError: it holds a tensor that a finished task uses.
        """
        live = {id(p) for p in pl_module.generator.parameters() if p.requires_grad}
        held = [p for group in trainer.optimizers[0].param_groups for p in group["params"]]
        if any(id(p) not in live for p in held):
            raise RunError(
                f"method={pl_module.name}: the optimizer holds tensors that finished tasks use; "
                "they would be trained on."
            )

    @staticmethod
    def consolidate(generator: Committing) -> None:
        """Append the task's unconstrained filters to the bank and freeze all that it has learnt."""
        generator.commit()
