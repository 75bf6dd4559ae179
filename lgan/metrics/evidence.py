"""What metrics measure with and what they measure, each part made once and shared by all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from lgan import distributed
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.images import Images, TensorImages
from lgan.metrics.classifier_training import (
    ClassifierFactory,
    ClassifierTraining,
    TrainedClassifier,
    build_classifier,
    predict,
    train_classifier,
    trained_once,
)
from lgan.metrics.features import FeatureExtractor, extract, real_features
from lgan.metrics.sampling import Sampler, generate

Head = Callable[[Tensor], Tensor]
Classes = tuple[int, ...]


@dataclass
class Reference:
    """The real images of a task sequence, and the networks that look at them.

    Args:
        data: the run's data.
        device: where networks compute.
        factory: makes the evaluation classifier.
        training: how it is trained.
        make_extractor: `(classifier=, device=) -> FeatureExtractor`; None: there are no features.
        cache_dir: where classifiers and features of real images are kept.
        seed: seed of the classifiers.
        per_class: at most so many test images per class are compared with generated ones.
    """

    data: TaskSequenceDataModule
    device: torch.device | str
    factory: ClassifierFactory
    training: ClassifierTraining
    make_extractor: Callable[..., FeatureExtractor] | None
    cache_dir: Path
    seed: int
    per_class: int | None

    @cached_property
    def tasks(self) -> list[Classes]:
        """The classes of every task of the sequence."""
        return [tuple(task.classes) for task in self.data.tasks]

    @cached_property
    def test(self) -> Images:
        """The real test images of all tasks."""
        return self.data.test_images_of(flat(self.tasks))

    @cached_property
    def compared(self) -> Images:
        """Those of them that generated images are compared with: the first ones of each class."""
        if self.per_class is None:
            return self.test
        firsts = [where(self.test, label)[: self.per_class] for label in flat(self.tasks)]
        return self.test.subset(torch.cat(firsts))

    @cached_property
    def classifier(self) -> TrainedClassifier:
        """The evaluation classifier of the data set, trained or from the cache."""
        count = self.data.num_classes
        every = self.data.test_images_of(tuple(range(count)))
        train = self.data.training_images_for_evaluation()
        return trained_once(self.factory, train, every, count, self.training, self.seed,
                            self.cache_dir, self.device)  # fmt: skip

    @cached_property
    def extractor(self) -> FeatureExtractor:
        """What features are taken with."""
        assert self.make_extractor is not None
        return self.make_extractor(classifier=self.classifier, device=self.device)

    @cached_property
    def features(self) -> Tensor:
        """Features (N, D) of the images that are compared."""
        return real_features(self.extractor, self.compared, self.cache_dir)

    def features_of(self, classes: Sequence[int]) -> Tensor:
        """Return the features of some classes' real images."""
        return self.features[torch.isin(self.compared.labels, torch.tensor(classes))]

    def learn(self, images: Images, title: str) -> nn.Module:
        """Return a classifier like the evaluation classifier, trained on other images."""
        fresh = build_classifier(self.factory, images.shape, self.data.num_classes, self.seed)
        return train_classifier(fresh, images, self.training, self.seed, self.device, title)


@dataclass
class Evidence:
    """What can be measured after a task.

    Args:
        reference: the real images.
        task: the task that has just ended, from 0.
        make_sampler: returns what draws images of the method, from its first input on; None for
            a method without a generator.
        head: the method's own classifier, images (B, C, H, W) to logits (B, num_classes).
        samples_per_class: generated images of each class.
        batch_per_class: images of each class in one call of the generator.
    """

    reference: Reference
    task: int
    make_sampler: Callable[[], Sampler] | None
    head: Head | None
    samples_per_class: int
    batch_per_class: int

    @property
    def tasks(self) -> list[Classes]:
        """The classes of each task so far."""
        return self.reference.tasks[: self.task + 1]

    @property
    def classes(self) -> list[int]:
        """All classes seen so far, in the order of tasks."""
        return flat(self.tasks)

    @property
    def is_last(self) -> bool:
        """Whether no task comes after this one."""
        return self.task == len(self.reference.tasks) - 1

    def has(self, need: str) -> bool:
        """Return whether something that a metric needs is there."""
        there = {
            "generated": lambda: self.make_sampler is not None,
            "head": lambda: self.head is not None,
            "features": lambda: self.reference.make_extractor is not None,
            "pairs": lambda: self.reference.data.paired,
        }
        return there[need]() if need in there else True

    def sampler(self) -> Sampler:
        """Return what draws images, from its first input on."""
        assert self.make_sampler is not None
        return self.make_sampler()

    @cached_property
    def generated(self) -> TensorImages:
        """uint8 images of all classes so far (see `lgan.metrics.sampling.generate`)."""
        seen, count = self.classes, self.samples_per_class
        shape, device = self.reference.test.shape, self.reference.device
        images = generate(self.sampler(), seen, count, self.batch_per_class, shape, device)
        return TensorImages(images.flatten(0, 1), torch.tensor(seen).repeat_interleave(count))

    @cached_property
    def predicted(self) -> Tensor:
        """The evaluation classifier's class (N,) of each generated image."""
        classify = self.reference.classifier.module
        return distributed.gather(predict(classify, share(self.generated), self.reference.device))

    @cached_property
    def features(self) -> Tensor:
        """Features (N, D) of the generated images."""
        own = distributed.share(self.generated.images)
        return distributed.gather(extract(self.reference.extractor, own))

    def feature_pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield for each task so far the features of its generated and of its real images."""
        for classes in self.tasks:
            drawn = self.features[torch.isin(self.generated.labels, torch.tensor(classes))]
            yield drawn, self.reference.features_of(classes)


def flat(tasks: Sequence[Classes]) -> list[int]:
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
