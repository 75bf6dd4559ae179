"""Tasks that translate pictures: a task is a class, and its noise is a picture."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from lgan.arguments import Count, Text
from lgan.data.datamodule import Augmentation, TaskSequenceDataModule
from lgan.data.images import Images, ImageSplits
from lgan.data.pairs import INPUT, TARGET, UnpairedImages, half, unpaired
from lgan.data.tasks import TaskKind
from lgan.errors import ConfigError
from lgan.seeding import Noise

OF_CLASSES = {"classes_per_task", "class_order", "class_order_seed", "capacity"}


class TranslationDataModule(TaskSequenceDataModule):
    """A sequence of translations; task t has the one class t, named as the task.

    A batch has `z`, the input pictures, beside `x`, the targets. `TaskInfo.images`, and what
    `splits` returns, are pairs (`lgan.data.pairs`) labelled by task; all other pictures are
    targets, or `test_inputs`. `paired` says whether the two pictures of a pair belong together, and
    have the same augmentation; False with paired pictures forgets that they do. The other arguments
    are those of `TaskSequenceDataModule` that do not cut classes into tasks.
    """

    task_kind: ClassVar[TaskKind] = "pictures"

    def __init__(
        self,
        splits: Callable[..., ImageSplits],
        name: Text,
        paired: bool = True,
        batch_size: Count = 1,
        augmentation: Augmentation | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        if of_classes := OF_CLASSES & {*settings}:
            raise ConfigError(
                f"data.{min(of_classes)} is no setting of data={name}, which has no classes to cut "
                "into tasks: each translation is a task."
            )
        self.paired = paired
        if augmentation and not paired:
            augmentation = partial(_each, augmentation)
        settings |= {"batch_size": batch_size, "augmentation": augmentation}
        super().__init__(splits, name, **settings)
        self._test_inputs: dict[int, Tensor] = {}

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of every target."""
        channels, height, width = self._loaded[0].train.shape
        return channels // 2, height, width

    def validation_images(self, index: int) -> Images:
        """Return the validation targets of one task; there may be none."""
        return half(super().validation_images(index), TARGET)

    def test_images_of(self, classes: Sequence[int]) -> Images:
        """Return the test targets of some tasks."""
        return half(super().test_images_of(classes), TARGET)

    def training_images_for_evaluation(self) -> Images:
        """Return all training targets, whatever task is open; only for evaluation."""
        return half(super().training_images_for_evaluation(), TARGET)

    def test_inputs(self, index: int) -> Tensor:
        """Return a task's test inputs, uint8 ``(N, C, H, W)``, decoded once: do not write."""
        self._opened("test", [index])
        if index not in self._test_inputs:
            pairs = self._loaded[0].test.of_classes(self.sequence[index].classes)
            self._test_inputs[index] = half(pairs, INPUT).all()
        return self._test_inputs[index]

    def test_pairs(self, index: int) -> tuple[Tensor, Tensor]:
        """Return a task's test inputs and targets, uint8 ``(N, C, H, W)``; unpaired, N differs."""
        return self.test_inputs(index), self.test_images(index).all()

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ANN401
        """Turn the pairs ``"x"`` into floats, augment them, and part ``"z"`` (inputs) from them."""
        parts = super().on_after_batch_transfer(batch, dataloader_idx)
        return [part | dict(zip(("z", "x"), part["x"].chunk(2, 1), strict=True)) for part in parts]

    def _materialise(self, splits: ImageSplits) -> ImageSplits:
        held = super()._materialise(splits)
        if not self.paired:
            return held.each(unpaired)
        if isinstance(held.train, UnpairedImages):
            raise ConfigError(
                f"data.paired=true, but the pictures of data={self.name} are unpaired; set "
                "data.paired=false."
            )
        return held


def _each(augmentation: Augmentation, pairs: Tensor, noise: Noise) -> Tensor:
    return torch.cat([augmentation(side, noise) for side in pairs.chunk(2, 1)], 1)
