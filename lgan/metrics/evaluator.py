"""Everything that is measured on tasks 0..t after training task t.

Images are drawn once, classified once and featurised once; each metric of the list measures them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge

from lgan.arguments import Count, Whole
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.errors import RunError
from lgan.metrics.accuracy_reverse import When
from lgan.metrics.base import Metric, Values
from lgan.metrics.classifier_training import ClassifierFactory, ClassifierTraining
from lgan.metrics.columns import Column
from lgan.metrics.evidence import Evidence, Head, Reference
from lgan.metrics.features import FeatureExtractor
from lgan.metrics.sampling import Sampler


class Evaluator:
    """Measures a method by a list of metrics.

    Args:
        classifier: `(image_shape, num_classes) -> nn.Module`, the evaluation classifier.
        classifier_training: how it, and the classifiers of `accuracy_reverse`, are trained.
        extractor: `(classifier=TrainedClassifier, device=...) -> FeatureExtractor`; None leaves
            out every metric that needs features.
        metrics: by name, measured in this order; an entry of None is left out.
        cache_dir: where classifiers and features of real images are kept.
        samples_per_class: generated images per class.
        batch_per_class: images of each class in one call of the generator.
        reverse: what `metrics.accuracy_reverse.when` refers to.
        reference_per_class: at most so many real test images per class (the first ones) are
            compared with generated ones; None means all.
        seed: seed of the classifiers and of KID; one seed for all runs means one classifier per
            data set, so that methods can be compared.

    Attributes:
        references: what the numbers were measured with, for the record; filled by `prepare`.
    """

    def __init__(
        self,
        classifier: ClassifierFactory,
        classifier_training: ClassifierTraining,
        extractor: Callable[..., FeatureExtractor] | None,
        metrics: Mapping[str, Metric | None],
        cache_dir: str | Path,
        samples_per_class: Annotated[int, Ge(2)] = 200,
        batch_per_class: Count = 64,
        reverse: When = "last",
        reference_per_class: Annotated[int, Ge(2)] | None = None,
        seed: Whole = 0,
    ) -> None:
        self.factory, self.training, self.extractor = classifier, classifier_training, extractor
        self.metrics = [metric for metric in metrics.values() if metric is not None]
        self.cache_dir, self.seed = Path(cache_dir).expanduser(), seed
        self.samples_per_class, self.batch_per_class = samples_per_class, batch_per_class
        self.reference_per_class = reference_per_class
        self.references: dict[str, Any] = {}
        self._reference: Reference | None = None

    @property
    def columns(self) -> list[Column]:
        """The columns that the metrics declare."""
        return [column for metric in self.metrics for column in metric.columns]

    def prepare(self, datamodule: TaskSequenceDataModule, device: torch.device | str) -> None:
        """Train or load the evaluation classifier and the features of the real test images."""
        self._reference = Reference(
            datamodule, device, self.factory, self.training, self.extractor, self.cache_dir,
            self.seed, self.reference_per_class,
        )  # fmt: skip
        self.references = self._describe(self._reference)

    def evaluate(
        self, make_sampler: Callable[[], Sampler] | None, head: Head | None, task: int
    ) -> Values:
        """Measure tasks 0..task.

        Args:
            make_sampler: returns what maps labels (B,) to images (B, C, H, W) in [-1, 1], each
                call from new noise; None for a method without a generator.
            head: the method's own classifier, images (B, C, H, W) to logits (B, num_classes).
            task: the task that has just been trained, from 0.

        Raises:
            RunError: `prepare` was not called.
            TrainingDivergedError: the generator returns images that are not finite.
        """
        if self._reference is None:
            raise RunError("Evaluator.prepare must be called before Evaluator.evaluate.")
        evidence = Evidence(self._reference, task, make_sampler, head, self.samples_per_class,
                            self.batch_per_class)  # fmt: skip
        values = Values([{} for _ in evidence.tasks])
        for metric in self.metrics:
            if all(evidence.has(need) for need in metric.needs):
                values.add(metric.measure(evidence))
        return values

    def _describe(self, reference: Reference) -> dict[str, Any]:
        needs = {need for metric in self.metrics for need in metric.needs}
        with_features = self.extractor is not None and "features" in needs
        classifier = reference.classifier if with_features or "classifier" in needs else None
        if with_features:
            _ = reference.features  # what cannot be had is known before the first task
        counts = torch.bincount(reference.compared.labels).tolist()
        return {
            "classifier": classifier.key if classifier else None,
            "classifier_test_accuracy": classifier.accuracy if classifier else None,
            "feature_extractor": reference.extractor.name if with_features else None,
            "feature_extractor_key": reference.extractor.fingerprint if with_features else None,
            "samples_per_class": self.samples_per_class,
            "batch_per_class": self.batch_per_class,
            "reference_split": "test",
            "reference_images": {str(label): n for label, n in enumerate(counts) if n},
        }
