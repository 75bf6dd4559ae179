"""What generated images are held against: real images, the evaluation classifier and features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor, nn

from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.images import Images
from lgan.metrics import classifier_training as classifiers
from lgan.metrics.features import FeatureExtractor, real_features


def where(images: Images, label: int) -> Tensor:
    """Return the places (N,) of a class's images."""
    return (images.labels == label).nonzero().flatten()


class Reference:
    """Real images, classifier and features of a data set, each made when it is first asked for.

    Attributes: see the arguments of `lgan.metrics.evaluator.Evaluator`.
    """

    data: TaskSequenceDataModule
    device: torch.device | str
    factory: classifiers.ClassifierFactory
    training: classifiers.ClassifierTraining
    make_extractor: Callable[..., FeatureExtractor] | None
    cache_dir: Path
    seed: int
    samples_per_class: int
    batch_per_class: int
    reference_per_class: int | None

    @cached_property
    def tasks(self) -> list[tuple[int, ...]]:
        """The classes of every task of the sequence."""
        return [tuple(task.classes) for task in self.data.tasks]

    @cached_property
    def test(self) -> Images:
        """The real test images of all tasks."""
        return self.data.test_images_of(list(chain.from_iterable(self.tasks)))

    @cached_property
    def compared(self) -> Images:
        """Those of them that generated images are compared with."""
        if self.reference_per_class is None:
            return self.test
        labels = chain.from_iterable(self.tasks)
        firsts = [where(self.test, label)[: self.reference_per_class] for label in labels]
        return self.test.subset(torch.cat(firsts))

    @cached_property
    def classifier(self) -> classifiers.TrainedClassifier:
        """The evaluation classifier of the data set, trained or from the cache."""
        count = self.data.num_classes
        train = self.data.training_images_for_evaluation()
        every = self.data.test_images_of(tuple(range(count)))
        return classifiers.trained_once(self.factory, train, every, count, self.training,
                                        self.seed, self.cache_dir, self.device)  # fmt: skip

    @cached_property
    def extractor(self) -> FeatureExtractor:
        """What features are taken with."""
        assert self.make_extractor is not None
        return self.make_extractor(classifier=self.classifier, device=self.device)

    @cached_property
    def features(self) -> Tensor:
        """Features (N, D) of the real images that are compared."""
        return real_features(self.extractor, self.compared, self.cache_dir)

    def features_of(self, classes: Sequence[int]) -> Tensor:
        """Return the features of some classes' real images."""
        return self.features[torch.isin(self.compared.labels, torch.tensor(classes))]

    def learn(self, images: Images, title: str) -> nn.Module:
        """Return a classifier like the evaluation classifier, trained on other images."""
        shape, count = images.shape, self.data.num_classes
        fresh = classifiers.build_classifier(self.factory, shape, count, self.seed)
        return classifiers.train_classifier(fresh, images, self.training, self.seed, self.device,
                                            title)  # fmt: skip
