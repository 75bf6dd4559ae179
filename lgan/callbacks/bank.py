"""The end of a task in a generator whose finished tasks are frozen."""

from typing import Any

import lightning as L

from lgan.callbacks.base import BroughtByMethod, TaskContext
from lgan.errors import RunError


class FreezeFilterBank(BroughtByMethod):
    """Freeze what a task has learnt (its free filters join a bank); see that it stays frozen."""

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:  # noqa: ANN401
        """Check that the optimizer holds live parameters of the generator only."""
        live = {id(p) for p in pl_module.generator.parameters() if p.requires_grad}
        held = [p for group in trainer.optimizers[0].param_groups for p in group["params"]]
        if any(id(p) not in live for p in held):
            raise RunError(
                f"method={pl_module.name}: the optimizer holds tensors that finished tasks use; "
                "they would be trained on."
            )

    def on_task_end(self, context: TaskContext) -> None:
        """Freeze and append."""
        context.method.generator.commit()
