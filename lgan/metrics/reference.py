"""What generated images are held against: real images, the evaluation classifier and features."""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from lgan.arguments import Count, Whole
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.images import Images
from lgan.metrics import classifier_training as classifiers
from lgan.metrics.features import FeatureExtractor, real_features


def where(images: Images, label: int) -> Tensor:
    """Return the places (N,) of a class's images."""
    return (images.labels == label).nonzero().flatten()


class Reference:
    """Real images, classifier and features of a data set, each made when it is first asked for.

    Of the first `reference_per_class` real test images (None: all) of a class and of
    `samples_per_class` generated ones, `batch_per_class` in one call. `classifier_training` is of
    `accuracy_reverse`'s classifiers too. The `seed`, of classifiers and KID, is one for all runs.
    """

    data: TaskSequenceDataModule
    device: torch.device | str

    def __init__(
        self,
        classifier: classifiers.ClassifierFactory,
        classifier_training: classifiers.ClassifierTraining,
        extractor: Callable[..., FeatureExtractor] | None,  # None: no metric of features
        cache_dir: str | Path,
        samples_per_class: Annotated[int, Ge(2)] = 200,
        batch_per_class: Count = 64,
        reference_per_class: Annotated[int, Ge(2)] | None = None,
        seed: Whole = 0,
    ) -> None:
        self.factory, self.training = classifier, classifier_training
        self.make_extractor = extractor
        self.cache_dir, self.seed = Path(cache_dir).expanduser(), seed
        self.samples_per_class, self.batch_per_class = samples_per_class, batch_per_class
        self.reference_per_class = reference_per_class

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

    def samples_of(self, label: int) -> int:
        """Return how many images of a class are generated: of a translation one per test input."""
        if self.data.task_kind == "classes":
            return self.samples_per_class
        return min(self.samples_per_class, len(self.data.test_inputs(label)))

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
