"""What metrics measure at a task border; each part is made once, and all share it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from lgan import distributed
from lgan.data.images import Images, TensorImages, to_uint8
from lgan.errors import DataError, TrainingDivergedError
from lgan.metrics.classifier_training import predict
from lgan.metrics.features import extract
from lgan.metrics.reference import Reference

Head = Callable[[Tensor], Tensor]
Sampler = Callable[[Tensor], Tensor]


@runtime_checkable
class Skipping(Protocol):
    """A sampler that can pass over a call without drawing."""

    def skip(self, labels: Tensor) -> None:
        """Pass over the inputs of a call."""


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

    evaluator: Reference
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
        return list(chain.from_iterable(self.tasks))

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
        """uint8 images of all classes so far (see `generate`)."""
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


@torch.no_grad()
def generate(
    sampler: Sampler,
    classes: Sequence[int],
    samples: int,
    batch: int,
    image_shape: tuple[int, int, int],
    device: torch.device | str,
) -> Tensor:
    """Draw `samples` images of each class: uint8 (K, samples, C, H, W) on the CPU.

    Each call asks for `batch` images of every class, so that a generator whose norm layers use the
    statistics of a class or of the batch sees the same composition each time; what is over is cut.
    Several ranks share the calls; one that `skip`s does so where another rank makes the call.

    Raises:
        DataError: the sampler returns another shape than `image_shape`.
        TrainingDivergedError: an image is not finite.
    """
    labels = torch.tensor(classes, device=device).repeat_interleave(batch)
    calls = range(math.ceil(samples / batch))
    drawn = torch.empty(0, len(classes), batch, *image_shape, dtype=torch.uint8)
    for call in calls:
        if call not in distributed.share_of(calls):
            (sampler.skip if isinstance(sampler, Skipping) else sampler)(labels)
            continue
        images = sampler(labels)
        if images.shape != (len(labels), *image_shape):
            raise DataError(
                f"The sampler returned images of shape {tuple(images.shape)} for {len(labels)} "
                f"labels; expected {(len(labels), *image_shape)}."
            )
        if not torch.isfinite(images).all():
            raise TrainingDivergedError(
                "The generator returns images that are not finite, so they cannot be evaluated; "
                "lower training.learning_rate or look at the losses."
            )
        own = to_uint8(images.float()).cpu().unflatten(0, (len(classes), batch))
        drawn = torch.cat([drawn, own[None]])
    return distributed.gather(drawn).transpose(0, 1).flatten(1, 2)[:, :samples]


def share(images: Images) -> Images:
    """Return the images that this rank looks at."""
    if distributed.world() == 1:
        return images
    return images.subset(distributed.share(torch.arange(len(images))))


def fractions(right: Tensor, labels: Tensor, classes: Sequence[int]) -> dict[int, float]:
    """Return for each class the fraction of its images that are right; nan where it has none."""
    return {label: right[labels == label].double().mean().item() for label in classes}
