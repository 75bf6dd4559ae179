"""What metrics measure at a task border; each part is made once, and all share it."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

import torch
from torch import Tensor

from lgan import distributed
from lgan.data.images import Images, TensorImages, at_once, to_uint8
from lgan.errors import DataError, TrainingDivergedError
from lgan.metrics.classifier_training import Head, predict
from lgan.metrics.features import extract
from lgan.metrics.reference import Reference

Sampler = Callable[[Tensor], Tensor]  # labels (B,) to images (B, C, H, W), from new noise
MakeSampler = Callable[[], Sampler]
LARGEST_CALL = 2048  # images of 32 x 32 that one call of a generator draws at most


@dataclass
class Evidence:
    """What can be measured after a task."""

    evaluator: Reference  # has the real images, and the networks that look at images
    task: int  # that has just ended, from 0
    make_sampler: MakeSampler | None  # None: the method has no generator
    head: Head | None  # the method's own classifier
    jointly: bool = True  # whether an image depends on what else its call draws
    other_heads: Mapping[str, Head] = field(default_factory=dict)  # further ones, by name
    head_of: Callable[[int], Head | None] = lambda _: None  # the same, of a task that is told

    def __post_init__(self) -> None:
        self.tasks = self.evaluator.tasks[: self.task + 1]  # the classes of each so far
        self.classes = list(chain.from_iterable(self.tasks))

    def has(self, need: str) -> bool:
        """Return whether something that a metric needs is there."""
        if need == "pairs":
            return self.evaluator.data.paired
        there = {"generated": self.make_sampler, "head": self.head, "head_of": self.head_of(0),
                 "features": self.evaluator.make_extractor}  # fmt: skip
        return there.get(need, True) is not None

    @cached_property
    def generated(self) -> TensorImages:
        """uint8 images of all classes so far, those of a class together (see `generate`)."""
        assert self.make_sampler is not None
        by = self.evaluator
        samples = {c: by.samples_of(c) for c in self.classes}
        return generate(self.make_sampler(), self.calls(), samples, by.test.shape)

    def calls(self) -> list[Tensor]:
        """Return the labels of each call of the generator: of one class or task, as by a user.

        If images depend on each other, every call asks for as many of every class, at least one.
        """
        by, seen = self.evaluator, self.classes
        each, device = by.batch_per_class, by.device
        if by.data.task_kind == "classes":
            if self.jointly:
                each = min(each, max(1, at_once(LARGEST_CALL, by.test.shape) // len(seen)))
            every = torch.tensor(seen, device=device).repeat_interleave(each)
            calls = [every] if self.jointly else every.split(each)
            return [call for call in calls for _ in range(math.ceil(by.samples_per_class / each))]
        tasks = [torch.full((by.samples_of(task),), task, device=device) for task in seen]
        return [part for labels in tasks for part in labels.split(each)]

    @cached_property
    def predicted(self) -> Tensor:
        """The evaluation classifier's class (N,) of each generated image."""
        classify = self.evaluator.classifier.module
        return distributed.gather(predict(classify, share(self.generated), self.evaluator.device))

    @cached_property
    def features(self) -> Tensor:
        """Features (N, D) of the generated images."""
        return distributed.gather(extract(self.evaluator.extractor, share(self.generated)))

    def feature_pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield for each task so far the features of its generated and of its real images."""
        for classes in self.tasks:
            drawn = self.features[torch.isin(self.generated.labels, torch.tensor(classes))]
            yield drawn, self.evaluator.features_of(classes)


@torch.no_grad()
def generate(
    sampler: Sampler,
    calls: Sequence[Tensor],  # the labels of each
    samples: Mapping[int, int],
    image_shape: tuple[int, int, int],
) -> TensorImages:
    """Draw uint8 samples on the CPU, so many of each class; several ranks share the calls.

    What calls give over what is asked for is left out. The images are held once, so that memory
    is theirs and one call's (one of each rank's).
    """
    labels = torch.cat(list(calls)).cpu()
    kept = torch.cat([(labels == c).nonzero().flatten()[:n] for c, n in samples.items()])
    place = torch.full_like(labels, -1)  # of each image that is drawn, among those kept
    place[kept] = torch.arange(len(kept))
    images = torch.empty(len(kept), *image_shape, dtype=torch.uint8)
    first, ranks = 0, distributed.world()
    for turn in range(0, len(calls), ranks):
        drawn = torch.cat(_draw(sampler, calls[turn : turn + ranks], image_shape))
        places = place[first : first + len(drawn)]
        images[places[places >= 0]] = drawn[places >= 0]
        first += len(drawn)
    return TensorImages(images, labels[kept])


def _draw(
    sampler: Sampler, calls: Sequence[Tensor], image_shape: tuple[int, int, int]
) -> list[Tensor]:
    """Return the uint8 images of at most a call for each rank, which draws its own only."""
    mine, own = distributed.share(range(len(calls))), list[Tensor]()
    for call, labels in enumerate(calls):
        if call not in mine:
            getattr(sampler, "skip", sampler)(labels)  # some can pass over a call without drawing
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
        own.append(to_uint8(images.float()).cpu())
    return distributed.dealt(own, len(calls))


def share(images: Images) -> Images:
    """Return the images that this rank looks at."""
    own = distributed.share(torch.arange(len(images)))
    return images if distributed.world() == 1 else images.subset(own)


def fractions(right: Tensor, labels: Tensor, classes: Sequence[int]) -> dict[int, float]:
    """Return for each class the fraction of its images that are right; nan where it has none."""
    return {label: right[labels == label].double().mean().item() for label in classes}
