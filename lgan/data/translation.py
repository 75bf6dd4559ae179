"""Tasks that translate pictures: a task is a class, and its noise is a picture."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lgan.arguments import Count, Positive, Text, Whole
from lgan.data.datamodule import Augmentation, TaskSequenceDataModule
from lgan.data.images import Images, ImageSplits
from lgan.data.loader import Batch, BatchLoader, StreamingLoader
from lgan.data.pairs import INPUT, TARGET, UnpairedImages, half, unpaired
from lgan.data.tasks import TaskKind
from lgan.errors import ConfigError
from lgan.seeding import Noise


class UnpairedLoader(BatchLoader):
    """Batches of unpaired pictures: in each epoch each side has a permutation of its own.

    An epoch has as many items as the larger side has pictures, as in CycleGAN's code.
    """

    _shuffled = -1  # the epoch whose permutations `images` has

    def _batch(self, draw: int) -> Batch:
        epoch = draw // self.batches
        if self._shuffled != epoch and isinstance(self.images, UnpairedImages):
            self.images = self.images.shuffled(self.seed, "unpaired", self.task, epoch)
            self._shuffled = epoch
        return super()._batch(draw)


class UnpairedStreamingLoader(UnpairedLoader, StreamingLoader):
    """The same batches, bit for bit, decoded ahead by worker processes."""


class TranslationDataModule(TaskSequenceDataModule):
    """A sequence of translations; task t has the one class t, named as the task.

    A batch has `z`, the input pictures, beside `x`, the targets. `TaskInfo.images`, and what
    `splits` returns, are pairs (`lgan.data.pairs`) labelled by task; all other pictures are
    targets, or `test_inputs`. `paired` says whether the two pictures of a pair belong together, and
    have the same augmentation; False with paired pictures forgets that they do.
    """

    task_kind: ClassVar[TaskKind] = "pictures"

    def __init__(
        self,
        splits: Callable[..., ImageSplits],
        name: Text,
        root: str | None = None,
        paired: bool = True,
        num_tasks: Count | None = None,
        batch_size: Count = 1,
        steps: Count = 1000,
        draws: Count = 1,
        seed: Whole = 0,
        in_memory: bool | Literal["auto"] = "auto",
        memory_limit_mb: Positive = 2048,
        num_workers: Whole = 0,
        augmentation: Augmentation | None = None,
        allow_small: bool = True,
        warn_below: Whole = 20,
    ) -> None:
        self.paired = paired
        if not paired:
            self._loaders = (UnpairedLoader, UnpairedStreamingLoader)
            augmentation = augmentation and partial(_each, augmentation)
        super().__init__(
            splits, name, root, num_tasks=num_tasks, batch_size=batch_size, steps=steps,
            draws=draws, seed=seed, in_memory=in_memory, memory_limit_mb=memory_limit_mb,
            num_workers=num_workers, augmentation=augmentation, allow_small=allow_small,
            warn_below=warn_below,
        )  # fmt: skip
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
