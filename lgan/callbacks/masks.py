"""What a generator needs at and between task borders: room, protection, and what is frozen."""

from typing import Any

import lightning as L

from lgan.callbacks.base import BroughtByMethod, TaskContext
from lgan.errors import RunError


class ExpandLayers(BroughtByMethod):
    """Make room for the task that begins."""

    def on_task_start(self, context: TaskContext) -> None:
        """Add the tasks that the generator does not have yet."""
        generator = context.method.generator
        for task in context.datamodule.tasks[len(generator.tasks) : context.task + 1]:
            generator.add_task(task.classes)


class CumulateMasks(BroughtByMethod):
    """Protect what older tasks use before each step of the generator; binarise at the border."""

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: Any, optimizer: Any) -> None:  # noqa: ANN401
        """Zero the gradients of reserved weights; with fresh Adam moments they do not move."""
        if optimizer is trainer.optimizers[0]:
            pl_module.generator.protect()

    def on_task_end(self, context: TaskContext) -> None:
        """Binarise the task's masks and add them to the cumulated ones."""
        context.method.generator.commit()


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
