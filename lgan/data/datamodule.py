"""The only door to data; it opens for one task at a time."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import lightning as L  # noqa: N812  (Lightning's own convention)
import torch
from torch import Tensor

from lgan import distributed
from lgan.arguments import Count, Positive, Text, Whole
from lgan.data.content import content_of
from lgan.data.images import Images, ImageSplits, to_float
from lgan.data.ledger import Ledger, Reader
from lgan.data.loader import Again, BatchLoader, check_batch_size, first_attempt
from lgan.data.tasks import Task, TaskInfo, TaskKind, TaskSequence, check_small
from lgan.errors import ConfigError, TaskAccessError
from lgan.seeding import Noise

Augmentation = Callable[[Tensor, Noise], Tensor]


class TaskSequenceDataModule(L.LightningDataModule):
    """A data set, cut into tasks, of which training data is given for the open task only.

    It takes the arguments of `TaskSequence` but `num_classes`, and these.

    Args:
        splits: returns the data set; called once with ``root=root``, its folder or None.
        batch_size: pictures in the global batch.
        capacity: networks have rows for "all" classes of the data from the start, or "grow": for
            each class id up to the highest so far.
        steps: generator steps per task, each with `draws` real batches.
        in_memory: True decodes picture files into memory, False streams them, by `num_workers`
            processes, "auto" decodes them if they fit into `memory_limit_mb` MiB.
        augmentation: applied on the device to training batches in [-1, 1], or None.
        allow_small: whether pictures of a task that do not fill a batch are drawn with repetition.
        warn_below: training pictures of a class below which a warning names it.
    """

    task_kind: ClassVar[TaskKind] = "classes"  # classes to draw, or pictures to translate
    paired: bool = False  # whether each picture of a translation has its target

    def __init__(
        self,
        splits: Callable[..., ImageSplits],
        name: Text,
        root: str | None = None,
        classes_per_task: Count | Sequence[Count] = 1,
        class_order: Literal["natural", "random"] | Sequence[Whole] = "natural",
        class_order_seed: Whole = 0,
        num_tasks: Count | None = None,
        capacity: Literal["all", "grow"] = "all",
        batch_size: Count = 64,
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
        super().__init__()
        self.name, self.capacity = name, capacity
        self.batch_size, self.steps, self.draws, self.seed = batch_size, steps, draws, seed
        self._load = partial(splits, root=root)
        self._cut = (classes_per_task, class_order, class_order_seed, num_tasks)
        self._in_memory, self._limit = in_memory, memory_limit_mb * 2**20
        self._num_workers, self._augmentation = num_workers, augmentation
        self._small = (batch_size, allow_small, warn_below)
        self._info: TaskInfo | None = None
        self._loader: BatchLoader | None = None
        self.again: Again = first_attempt
        self.learnt = 0  # tasks that an extended run has learnt: their pictures may be gone
        self.repeated: dict[str, int] = {}  # classes drawn with repetition, and their pictures
        self.ledger = Ledger()

    def setup(self, stage: str | None = None) -> None:
        """Load the data, cut it into tasks and look for classes that are small; idempotent."""
        _ = self._loaded

    @cached_property
    def _loaded(self) -> tuple[ImageSplits, TaskSequence]:
        splits = self._load()
        sequence = TaskSequence(len(splits.class_names), *self._cut)
        check_batch_size(self.batch_size, len(splits.train), distributed.world())
        self.repeated = check_small(splits, sequence.tasks[self.learnt :], *self._small)
        self._as_read = splits
        return self._materialise(splits), sequence

    def content(self, cache: Path | None = None) -> dict[str, Any]:
        """Return what the data set holds; see `lgan.data.content`."""
        self.setup()
        return content_of(self._as_read, cache)

    @property
    def splits(self) -> ImageSplits:
        """The whole data set; while a task is trained, for declared readers only."""
        for name in ("train", "validation", "test"):
            self._opened(name, range(self.num_tasks))
        return self._loaded[0]

    @property
    def sequence(self) -> TaskSequence:
        """The sequence of tasks."""
        return self._loaded[1]

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All tasks, in order."""
        return self.sequence.tasks

    @property
    def plan(self) -> dict[str, Any]:
        """Names of all classes and the classes of all tasks, as plain data."""
        tasks = [list(task.classes) for task in self.tasks]
        return {"class_names": list(self.class_names), "task_classes": tasks}

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        return len(self.sequence)

    @property
    def num_classes(self) -> int:
        """Classes of the data set, those that no task uses included."""
        return len(self.class_names)

    def rows_in(self, index: int) -> int:
        """Return how many rows for classes the networks have in a task."""
        return self.num_classes if self.capacity == "all" else 1 + max(self.sequence.seen(index))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by class id."""
        return self._loaded[0].class_names

    @property
    def found(self) -> dict[str, Any] | None:
        """What lies in the data's folders, see `lgan.data.found`; None where there are none."""
        found = self._loaded[0].found
        return found.facts if found else None

    @property
    def gone(self) -> list[str]:
        """Names of classes of tasks of which there are no training pictures any more."""
        there = set(self._loaded[0].train.labels.tolist())
        return [self.class_names[c] for t in self.tasks for c in t.classes if c not in there]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of every picture."""
        return self._loaded[0].train.shape

    @property
    def opened(self) -> int | None:
        """Index of the task that is open, or None."""
        return None if self._info is None else self._info.index

    @property
    def info(self) -> TaskInfo:
        """What `open` returned last; `TaskAccessError` if no task is open."""
        if self._info is None:
            raise TaskAccessError("no task is open: call open(t) before asking for its data.")
        return self._info

    def open(
        self,
        index: int,
        cumulative: bool = False,
        further: Callable[[TaskInfo], int] = lambda _: 0,
    ) -> TaskInfo:
        """Open the door to task `index` alone, or, `cumulative` (joint training), to 0 .. index.

        `further` says how many steps a method takes behind those that are set.
        """
        task, trained = self.sequence[index], self._trained
        if trained not in (None, index):
            raise TaskAccessError(f"task {index} cannot be opened while task {trained} is trained.")
        classes = self.sequence.seen(index) if cumulative else task.classes
        images = self._loaded[0].train.of_classes(classes)
        plan = tuple(t.classes for t in self.tasks)
        numbers = self.steps, self.batch_size, self.draws
        info = TaskInfo(index, plan, *numbers, images, self.rows_in(index))
        self._info = replace(info, further_steps=further(info))
        self._loader = None
        by: Reader = "cumulative" if cumulative else "task"
        tasks = range(0 if cumulative else index, index + 1)
        self.ledger.note(trained, "train", tasks, len(self._info.images), by)
        return self._info

    def validation_images(self, index: int) -> Images:
        """Return the validation pictures of one task; there may be none."""
        self._opened("validation", [index])
        return self._loaded[0].validation.of_classes(self.sequence[index].classes)

    def test_images(self, index: int) -> Images:
        """Return the test pictures of one task."""
        return self.test_images_of(self.sequence[index].classes)

    def test_inputs(self, index: int) -> Tensor:
        """Return the test inputs of one translation task, uint8 (N, C, H, W)."""
        raise ConfigError(f"data={self.name} has classes to draw, no pictures to translate.")

    def test_images_of(self, classes: Sequence[int]) -> Images:
        """Return the test pictures of some classes."""
        self._opened("test", [t.index for t in self.tasks if {*t.classes} & {*classes}])
        return self._loaded[0].test.of_classes(classes)

    def training_images_for_evaluation(self) -> Images:
        """Return all training pictures, for the fixed classifiers that evaluate."""
        self._opened("train", range(self.num_tasks))
        return self._loaded[0].train

    def reading(self, reader: Reader) -> AbstractContextManager[None]:
        """Declare who reads the pictures that are opened meanwhile: "method" is told in tables."""
        return self.ledger.reading(reader)

    def train_dataloader(self) -> BatchLoader:
        """Return this rank's batches of the open task (of all up to it if cumulative)."""
        info, images = self.info, self.info.images
        if self.trainer:
            # Batches are then indexed where they are used, and nothing is copied per step.
            images = images.to(self.trainer.strategy.root_device)
        settings = (images, info.batch_size, info.draws, info.all_steps, self.seed, info.index)
        workers = self._num_workers if images.in_files else 0
        self._loader = BatchLoader(*settings, *self._place(), workers, self.again)
        return self._loader

    def transfer_batch_to_device(
        self, batch: list[dict[str, Tensor]], device: torch.device, dataloader_idx: int
    ) -> list[dict[str, Tensor]]:
        """Send what is not on the device; pictures in memory are, and Lightning's way is slow."""
        if all(tensor.device == device for part in batch for tensor in part.values()):
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ANN401
        """Turn the ``"x"`` of batches into floats in [-1, 1], augmented by (seed, task, step)."""
        floats = [{**part, "x": to_float(part["x"])} for part in batch]
        if self._augmentation is None or self._loader is None or not floats:
            return floats
        noise = Noise(0, floats[0]["x"].device, *self._place())
        # The loader counts a step as it hands it out; Lightning fetches no step ahead.
        step = self._loader.step - 1
        task = self.info.index
        noise.reseed(self.seed, "augmentation", task, step, *self.again(task, step))
        return [{**part, "x": self._augmentation(part["x"], noise)} for part in floats]

    @property
    def _fitting(self) -> bool:
        return bool(self.trainer and self.trainer.training)

    @property
    def _trained(self) -> int | None:
        # By a runner, or by a plain Trainer.
        if self.ledger.task is not None:
            return self.ledger.task
        return self.opened if self._fitting else None

    def _opened(self, split: Literal["train", "validation", "test"], tasks: Sequence[int]) -> None:
        if (trained := self._trained) is not None:
            part = getattr(self._loaded[0], split)
            classes = [c for task in tasks for c in self.sequence[task].classes]
            count = int(torch.isin(part.labels, torch.tensor(classes)).sum())
            self.ledger.note(trained, split, tasks, count, in_fit=self._fitting)

    def _place(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _materialise(self, splits: ImageSplits) -> ImageSplits:
        fits = sum(part.num_bytes for part in splits.parts) <= self._limit
        if self._in_memory is False or (self._in_memory == "auto" and not fits):
            return splits
        return splits.each(lambda part: part.load())
