"""Accuracy at the step with the best accuracy on real validation images, as DGM's code reports."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import lightning as L
import torch
from torch import nn

from lgan.arguments import Count
from lgan.callbacks.base import Learner, TaskCallback, TaskContext
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.images import Images
from lgan.data.ledger import Reader
from lgan.errors import ConfigError
from lgan.metrics.base import Values
from lgan.metrics.classifier_training import predict
from lgan.networks.modes import having, random_devices


@contextmanager
def undisturbed(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Look at a network in evaluation mode; modes and global random numbers are put back."""
    mode = having(module.modules(), training=False)
    with torch.no_grad(), torch.random.fork_rng(random_devices(device)), mode:
        yield


class SelectByValidation(TaskCallback):
    """Record the test accuracy at the step of the best validation accuracy (DGM, official code).

    Every `every` generator steps of a task, and at its last one, the single head's accuracy on real
    validation images is measured: arg-max over all classes seen, mean over the tasks seen. Where it
    is better than ever in this task, the same is measured on the test images. Training is not
    touched, and the network does not go back to the step that was selected.
    """

    declaration: ClassVar[str] = "selects by real validation data of old classes"
    reads: ClassVar[Reader] = "selection"

    def __init__(self, every: Count = 160) -> None:
        self.every = every
        self.best: dict[str, float] | None = None

    def check(self, method: Learner, datamodule: TaskSequenceDataModule | None) -> None:
        """Refuse a run without a classifier or without validation images of every task."""
        if not method.has_classifier:
            raise ConfigError(
                f"selection=paper needs a classifier over all classes, which method={method.name} "
                "has not; choose selection=last."
            )
        if datamodule is None:
            return
        lacking = [t for t in range(datamodule.num_tasks) if not datamodule.validation_images(t)]
        if lacking:
            raise ConfigError(
                f"selection=paper needs validation images, of which data={datamodule.name} has "
                f"none for task {lacking[0]}; set data.splits.validation (of some data "
                "data.splits.validation_fraction) above 0, or choose selection=last."
            )

    def on_task_start(self, context: TaskContext) -> None:
        """Forget the last task's best step, and fetch the images of the tasks seen."""
        data, seen = context.datamodule, range(context.task + 1)
        self.best, self._classes = None, list(data.sequence.seen(context.task))
        self._validation = [data.validation_images(t) for t in seen]
        self._test = [data.test_images(t) for t in seen]

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:  # noqa: ANN401
        """Look at the classifier every few steps, and at the task's last one."""
        step = pl_module.step
        if step % self.every and step < trainer.num_training_batches:
            return
        with undisturbed(pl_module, pl_module.device):
            validation = self._accuracy(pl_module, self._validation)
            if self.best is None or validation > self.best["validation_accuracy"]:
                test = self._accuracy(pl_module, self._test)
                self.best = {"accuracy_single_head": test, "step": step}
                self.best["validation_accuracy"] = validation

    def on_task_end(self, context: TaskContext) -> None:
        """Add the best step to the task's row, and log its accuracy."""
        self.best = self.best or context.former.get("selected")
        if self.best is None:
            return
        accuracy, name = self.best["accuracy_single_head"], "accuracy_single_head_selected"
        context.record(selected=dict(self.best))
        context.record_values(Values(overall={name: accuracy}))
        context.log({f"overall/{name}": accuracy})

    def state_dict(self) -> dict[str, Any]:
        """Return the best step so far, for a checkpoint inside the task."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the best step of a checkpoint inside the task."""
        self.best = state_dict["best"]

    def _accuracy(self, method: Learner, tasks: Sequence[Images]) -> float:
        found = [predict(method.classify, images, method.device, self._classes) for images in tasks]
        right = [f == images.labels for f, images in zip(found, tasks, strict=True)]
        return sum(r.double().mean().item() for r in right) / len(tasks)
