"""What metrics measure at a task border; each part is made once, and all share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lgan import distributed
from lgan.data.images import Images, TensorImages
from lgan.metrics.classifier_training import predict
from lgan.metrics.features import extract
from lgan.metrics.sampling import Sampler, generate

if TYPE_CHECKING:
    from lgan.metrics.evaluator import Evaluator

Head = Callable[[Tensor], Tensor]


@dataclass
class Evidence:
    """What can be measured after a task.

    Args:
        evaluator: has the real images, and the networks that look at images.
        task: the task that has just ended, from 0.
        make_sampler: returns what maps labels (B,) to images (B, C, H, W) in [-1, 1], each call
            from new noise, beginning with the first; None for a method without a generator.
        head: the method's own classifier, images (B, C, H, W) to logits (B, num_classes).
    """

    evaluator: Evaluator
    task: int
    make_sampler: Callable[[], Sampler] | None
    head: Head | None

    @property
    def tasks(self) -> list[tuple[int, ...]]:
        """The classes of each task so far."""
        return self.evaluator.tasks[: self.task + 1]

    @property
    def classes(self) -> list[int]:
        """All classes seen so far, in the order of tasks."""
        return flat(self.tasks)

    @property
    def is_last(self) -> bool:
        """Whether no task comes after this one."""
        return self.task == len(self.evaluator.tasks) - 1

    def has(self, need: str) -> bool:
        """Return whether something that a metric needs is there."""
        if need == "pairs":
            return self.evaluator.data.paired
        there = {"generated": self.make_sampler, "head": self.head,
                 "features": self.evaluator.make_extractor}  # fmt: skip
        return there.get(need, True) is not None

    def sampler(self) -> Sampler:
        """Return what draws images, from its first input on."""
        assert self.make_sampler is not None
        return self.make_sampler()

    @cached_property
    def generated(self) -> TensorImages:
        """uint8 images of all classes so far (see `lgan.metrics.sampling.generate`)."""
        by, seen = self.evaluator, self.classes
        images = generate(self.sampler(), seen, by.samples_per_class, by.batch_per_class,
                          by.test.shape, by.device)  # fmt: skip
        labels = torch.tensor(seen).repeat_interleave(by.samples_per_class)
        return TensorImages(images.flatten(0, 1), labels)

    @cached_property
    def predicted(self) -> Tensor:
        """The evaluation classifier's class (N,) of each generated image."""
        classify = self.evaluator.classifier.module
        return distributed.gather(predict(classify, share(self.generated), self.evaluator.device))

    @cached_property
    def features(self) -> Tensor:
        """Features (N, D) of the generated images."""
        own = distributed.share(self.generated.images)
        return distributed.gather(extract(self.evaluator.extractor, own))

    def feature_pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield for each task so far the features of its generated and of its real images."""
        for classes in self.tasks:
            drawn = self.features[torch.isin(self.generated.labels, torch.tensor(classes))]
            yield drawn, self.evaluator.features_of(classes)


def flat(tasks: Sequence[tuple[int, ...]]) -> list[int]:
    """Return all tasks' classes."""
    return [label for classes in tasks for label in classes]


def where(images: Images, label: int) -> Tensor:
    """Return the places (N,) of a class's images."""
    return (images.labels == label).nonzero().flatten()


def share(images: Images) -> Images:
    """Return the images that this rank looks at."""
    if distributed.world() == 1:
        return images
    return images.subset(distributed.share(torch.arange(len(images))))


def fractions(right: Tensor, labels: Tensor, classes: Sequence[int]) -> dict[int, float]:
    """Return for each class the fraction of its images that are right; nan where it has none."""
    return {label: right[labels == label].double().mean().item() for label in classes}
