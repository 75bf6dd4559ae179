"""One row of the result matrix: everything measured on tasks 0..t after training task t.

Images are drawn once, turned into uint8 once, classified once and featurised once; all metrics are
derived from that. Accuracies on generated images are means over classes (MeRGAN); accuracies on
real test images are fractions of the images, as usual for classifiers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lgan import distributed
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.images import Images, TensorImages
from lgan.errors import ConfigError, RunError
from lgan.metrics import classifier_training as classifiers
from lgan.metrics.classifier_training import (
    ClassifierFactory,
    ClassifierTraining,
    TrainedClassifier,
    predict,
    rank,
)
from lgan.metrics.features import FeatureExtractor, extract, real_features
from lgan.metrics.sampling import Sampler, generate
from lgan.metrics.statistics import distances, fid, pixel_deviation
from lgan.seeding import mix

Head = Callable[[Tensor], Tensor]
REVERSE = ("last", "every", "never")
TOP = 5


@dataclass
class EvaluationRow:
    """What is known after task t; plain numbers, ready for results.json.

    Args:
        metrics: for each task j <= t its values by metric.
        overall: values over all classes seen so far.
        per_class: values by metric and class id (as a string).
    """

    metrics: list[dict[str, float]] = field(default_factory=list)
    overall: dict[str, float] = field(default_factory=dict)
    per_class: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(
        self,
        name: str,
        values: dict[int, float],
        tasks: Iterable[Sequence[int]],
        weights: dict[int, int] | None = None,
    ) -> None:
        """Enter a metric known per class, its means over each task's classes and over all.

        Args:
            name: the metric.
            values: class id to value.
            tasks: the classes of each task.
            weights: class id to number of images, for a mean over images; None: all equal.
        """
        self.per_class[name] = {str(label): value for label, value in values.items()}
        for metrics, classes in zip(self.metrics, tasks, strict=True):
            metrics[name] = _mean(values, classes, weights)
        self.overall[name] = _mean(values, values, weights)


@dataclass(frozen=True)
class _Reference:
    """What the evaluation of one data set needs of the real images."""

    num_classes: int
    tasks: list[tuple[int, ...]]
    test: Images
    compared: Images  # the test images, at most so many per class, that features are taken of
    features: Tensor | None
    deviations: dict[int, float]

    def features_of(self, labels: Sequence[int]) -> Tensor:
        assert self.features is not None
        return self.features[torch.isin(self.compared.labels, torch.tensor(labels))]


class Evaluator:
    """Measures a generator, and a classifier if there is one, on the tasks so far.

    Args:
        classifier: `(image_shape, num_classes) -> nn.Module`, the evaluation classifier.
        classifier_training: how it, and the classifiers of `accuracy_reverse`, are trained.
        extractor: `(classifier=TrainedClassifier, device=...) -> FeatureExtractor`.
        samples_per_class: generated images per class, at least 2.
        batch_per_class: images of each class in one call of the generator.
        reverse: when to measure `accuracy_reverse`: after the "last" task, "every" one, "never".
        fid: whether to measure FID, KID, precision and recall.
        reference_per_class: at most so many real test images per class (the first ones) for FID
            and its kin; None means all.
        cache_dir: where classifiers and features of real images are kept.
        seed: seed of the classifiers and of KID; one seed for all runs means one classifier per
            data set, so that methods can be compared.

    Attributes:
        references: what the numbers were measured with, for the record; filled by `prepare`.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(
        self,
        classifier: ClassifierFactory,
        classifier_training: ClassifierTraining,
        extractor: Callable[..., FeatureExtractor],
        cache_dir: str | Path,
        samples_per_class: int = 200,
        batch_per_class: int = 64,
        reverse: str = "last",
        fid: bool = True,
        reference_per_class: int | None = None,
        seed: int = 0,
    ) -> None:
        _check(samples_per_class, batch_per_class, reverse, reference_per_class)
        self.factory, self.training = classifier, classifier_training
        self._build_extractor = extractor
        self.cache_dir, self.seed = Path(cache_dir).expanduser(), seed
        self.samples_per_class, self.batch_per_class = samples_per_class, batch_per_class
        self.reverse, self.with_fid, self.reference_per_class = reverse, fid, reference_per_class
        self.references: dict[str, Any] = {}
        self._device: torch.device | str = "cpu"
        self._classifier: TrainedClassifier | None = None
        self._extractor: FeatureExtractor | None = None
        self._reference: _Reference | None = None

    def prepare(self, datamodule: TaskSequenceDataModule, device: torch.device | str) -> None:
        """Train or load the evaluation classifier and the features of the real test images."""
        self._device = device
        every = datamodule.test_images_of(tuple(range(datamodule.num_classes)))
        self._classifier = classifiers.trained_once(
            self.factory,
            datamodule.training_images_for_evaluation(),
            every,
            datamodule.num_classes,
            self.training,
            self.seed,
            self.cache_dir,
            device,
        )
        tasks = [tuple(task.classes) for task in datamodule.tasks]
        test = datamodule.test_images_of([label for classes in tasks for label in classes])
        self._reference = self._measure_reference(datamodule.num_classes, tasks, test)
        self.references = self._describe()

    def evaluate(
        self, sampler: Sampler | None, head: Head | None, task_index: int
    ) -> EvaluationRow:
        """Measure tasks 0..task_index.

        Args:
            sampler: labels (B,) to images (B, C, H, W) in [-1, 1]; each call draws new noise; None
                for a method without a generator, of which only the head is measured.
            head: the model's own classifier, images (B, C, H, W) to logits (B, num_classes).
            task_index: the task that has just been trained, from 0.

        Raises:
            RunError: `prepare` was not called.
            TrainingDivergedError: the generator returns images that are not finite.
        """
        if self._reference is None or self._classifier is None:
            raise RunError("Evaluator.prepare must be called before Evaluator.evaluate.")
        tasks = self._reference.tasks[: task_index + 1]
        row = EvaluationRow([{} for _ in tasks])
        generated = None if sampler is None else self._generate(sampler, tasks)
        if generated is not None:
            self._add_generated(row, generated, tasks, self._classifier.module)
        if head is not None:
            self._add_on_real(row, "accuracy_single_head", head, tasks, top=True)
        if generated is not None and self.with_fid:
            self._add_distances(row, generated, tasks)
        last = task_index == len(self._reference.tasks) - 1
        reverse = self.reverse == "every" or (self.reverse == "last" and last)
        if generated is not None and reverse:
            self._add_reverse(row, generated, tasks)
        return row

    def _generate(self, sampler: Sampler, tasks: list[tuple[int, ...]]) -> TensorImages:
        assert self._reference is not None
        seen, count = [label for classes in tasks for label in classes], self.samples_per_class
        shape = self._reference.test.shape
        images = generate(sampler, seen, count, self.batch_per_class, shape, self._device)
        return TensorImages(images.flatten(0, 1), torch.tensor(seen).repeat_interleave(count))

    def _measure_reference(
        self, num_classes: int, tasks: list[tuple[int, ...]], test: Images
    ) -> _Reference:
        compared, labels = test, [label for classes in tasks for label in classes]
        if self.reference_per_class is not None:
            firsts = [_where(test, label)[: self.reference_per_class] for label in labels]
            compared = test.subset(torch.cat(firsts))
        deviations = {
            label: pixel_deviation(compared.take(_where(compared, label))) for label in labels
        }
        features = None
        if self.with_fid:
            self._extractor = self._build_extractor(
                classifier=self._classifier, device=self._device
            )
            features = real_features(self._extractor, compared, self.cache_dir)
        return _Reference(num_classes, tasks, test, compared, features, deviations)

    def _describe(self) -> dict[str, Any]:
        assert self._classifier is not None and self._reference is not None
        counts = torch.bincount(self._reference.compared.labels).tolist()
        return {
            "classifier": self._classifier.key,
            "classifier_test_accuracy": self._classifier.accuracy,
            "feature_extractor": self._extractor.name if self._extractor else None,
            "feature_extractor_key": self._extractor.fingerprint if self._extractor else None,
            "samples_per_class": self.samples_per_class,
            "batch_per_class": self.batch_per_class,
            "reference_split": "test",
            "reference_images": {str(label): n for label, n in enumerate(counts) if n},
        }

    def _add_generated(
        self,
        row: EvaluationRow,
        generated: TensorImages,
        tasks: list[tuple[int, ...]],
        classifier: nn.Module,
    ) -> None:
        assert self._reference is not None
        predicted = predict(classifier, _share(generated), self._device)
        right = distributed.gather(predicted) == generated.labels
        row.add("accuracy_generated", _per_class(right, generated.labels, tasks), tasks)
        real = self._reference.deviations
        diversity = {
            label: pixel_deviation(generated.images[_where(generated, label)]) / real[label]
            if real[label]
            else math.nan
            for classes in tasks
            for label in classes
        }
        row.add("diversity", diversity, tasks)

    def _add_on_real(
        self,
        row: EvaluationRow,
        name: str,
        classify: Head,
        tasks: list[tuple[int, ...]],
        top: bool = False,
    ) -> None:
        """Enter the accuracy on real test images, the classes seen so far to choose from.

        With `top` also the fraction of images whose class is among the five most likely ones, once
        there are more classes than that (DGM, Table 2).
        """
        assert self._reference is not None
        seen = [label for classes in tasks for label in classes]
        test = self._reference.test.of_classes(seen)
        ranked = rank(classify, _share(test), self._device, among=seen, most=TOP)
        ranked = distributed.gather(ranked)
        right = ranked == test.labels[:, None]
        counts = {label: len(_where(test, label)) for label in seen}
        row.add(name, _per_class(right[:, 0], test.labels, tasks), tasks, counts)
        if top and len(seen) > TOP:
            within = _per_class(right.any(dim=1), test.labels, tasks)
            row.add(f"{name}_top{TOP}", within, tasks, counts)

    def _add_distances(
        self, row: EvaluationRow, generated: TensorImages, tasks: list[tuple[int, ...]]
    ) -> None:
        assert self._extractor is not None and self._reference is not None
        name, seed = self._extractor.name, mix(self.seed, "kid") % 2**32
        features = distributed.gather(extract(self._extractor, distributed.share(generated.images)))
        for metrics, classes in zip(row.metrics, tasks, strict=True):
            drawn = features[torch.isin(generated.labels, torch.tensor(classes))]
            found = distances(drawn, self._reference.features_of(classes), name, seed)
            metrics.update(found)
            for metric, value in found.items():
                row.overall[metric] = row.overall.get(metric, 0.0) + value / len(tasks)
        pooled = self._reference.features_of([label for classes in tasks for label in classes])
        row.overall[f"fid_{name}_pooled"] = fid(features, pooled)

    def _add_reverse(
        self, row: EvaluationRow, generated: TensorImages, tasks: list[tuple[int, ...]]
    ) -> None:
        """Enter the accuracy of a classifier that saw generated images only, and its ceiling."""
        assert self._classifier is not None and self._reference is not None
        fresh = classifiers.build_classifier(
            self.factory, generated.shape, self._reference.num_classes, self.seed
        )
        classifier = classifiers.train_classifier(
            fresh, generated, self.training, self.seed, self._device, "reverse classifier"
        )
        self._add_on_real(row, "accuracy_reverse", classifier, tasks)
        ceiling = EvaluationRow([{} for _ in tasks])
        self._add_on_real(ceiling, "ceiling", self._classifier.module, tasks)
        row.overall["accuracy_reverse_ceiling"] = ceiling.overall["ceiling"]
        # Classes not learnt yet are never right: the value over all is the seen classes' share.
        seen = self._reference.test.of_classes([label for task in tasks for label in task])
        share = len(seen) / len(self._reference.test)
        row.overall["accuracy_reverse_all_classes"] = row.overall["accuracy_reverse"] * share


def _check(samples: int, batch: int, reverse: str, reference: int | None) -> None:
    least = {"samples_per_class": (samples, 2), "batch_per_class": (batch, 1)}
    if reference is not None:
        least["reference_per_class"] = (reference, 2)
    for name, (value, bound) in least.items():
        if value < bound:
            raise ConfigError(f"evaluation.{name}={value} must be at least {bound}.")
    if reverse not in REVERSE:
        raise ConfigError(f"evaluation.reverse={reverse} must be one of {', '.join(REVERSE)}.")


def _share(images: Images) -> Images:
    """Return the images that this rank looks at."""
    if distributed.world() == 1:
        return images
    return images.subset(distributed.share(torch.arange(len(images))))


def _where(images: Images, label: int) -> Tensor:
    return (images.labels == label).nonzero().flatten()


def _per_class(right: Tensor, labels: Tensor, tasks: Iterable[Sequence[int]]) -> dict[int, float]:
    """Return for each class the fraction of its images that are right; nan where it has none."""
    return {
        label: right[labels == label].double().mean().item()
        for classes in tasks
        for label in classes
    }


def _mean(
    values: dict[int, float], classes: Iterable[int], weights: dict[int, int] | None
) -> float:
    """Return the mean over classes, weighted if asked to; classes of weight 0 do not count."""
    kept = [(label, weights[label] if weights else 1) for label in classes]
    total = sum(weight for _, weight in kept)
    if total == 0:
        return math.nan
    return sum(values[label] * weight for label, weight in kept if weight) / total
