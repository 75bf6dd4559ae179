"""Everything that is measured on tasks 0..t after training task t, by a list of metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge

from lgan.arguments import Count, Whole
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.errors import RunError
from lgan.metrics import classifier_training as classifiers
from lgan.metrics.accuracy_reverse import When
from lgan.metrics.base import Metric, Values
from lgan.metrics.evidence import Evidence, Head, Sampler
from lgan.metrics.features import FeatureExtractor
from lgan.metrics.reference import Reference


class Evaluator(Reference):
    """Measures a method by a list of metrics, and has what all measure with.

    Real images, the evaluation classifier and features are made when they are first asked for.

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
    """

    def __init__(
        self,
        classifier: classifiers.ClassifierFactory,
        classifier_training: classifiers.ClassifierTraining,
        extractor: Callable[..., FeatureExtractor] | None,
        metrics: Mapping[str, Metric | None],
        cache_dir: str | Path,
        samples_per_class: Annotated[int, Ge(2)] = 200,
        batch_per_class: Count = 64,
        reverse: When = "last",
        reference_per_class: Annotated[int, Ge(2)] | None = None,
        seed: Whole = 0,
    ) -> None:
        self.factory, self.training = classifier, classifier_training
        self.make_extractor = extractor
        self.metrics = [metric for metric in metrics.values() if metric is not None]
        self.cache_dir, self.seed = Path(cache_dir).expanduser(), seed
        self.samples_per_class, self.batch_per_class = samples_per_class, batch_per_class
        self.reference_per_class = reference_per_class
        self.references: dict[str, Any] = {}  # for the record, filled by `prepare`
        self.columns = [column for metric in self.metrics for column in metric.columns]

    def prepare(self, data: TaskSequenceDataModule, device: torch.device | str) -> None:
        """Train or load the evaluation classifier and the features of the real test images."""
        self.data, self.device = data, device
        needs = {need for metric in self.metrics for need in metric.needs}
        extractor = self.extractor if self.make_extractor and "features" in needs else None
        classifier = self.classifier if extractor or "classifier" in needs else None
        if extractor:
            _ = self.features  # what cannot be had is known before the first task
        counts = torch.bincount(self.compared.labels).tolist()
        self.references = {
            "classifier": classifier.key if classifier else None,
            "classifier_test_accuracy": classifier.accuracy if classifier else None,
            "feature_extractor": extractor.name if extractor else None,
            "feature_extractor_key": extractor.fingerprint if extractor else None,
            "samples_per_class": self.samples_per_class,
            "batch_per_class": self.batch_per_class,
            "reference_split": "test",
            "reference_images": {str(label): n for label, n in enumerate(counts) if n},
        }

    def evaluate(
        self, make_sampler: Callable[[], Sampler] | None, head: Head | None, task: int
    ) -> Values:
        """Measure tasks 0..task; see `Evidence` for the arguments.

        Raises:
            RunError: `prepare` was not called.
            TrainingDivergedError: the generator returns images that are not finite.
        """
        if not self.references:
            raise RunError("Evaluator.prepare must be called before Evaluator.evaluate.")
        evidence = Evidence(self, task, make_sampler, head)
        values = Values([{} for _ in evidence.tasks])
        for metric in self.metrics:
            if all(evidence.has(need) for need in metric.needs):
                values.add(metric.measure(evidence))
        return values
