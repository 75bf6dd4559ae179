"""Everything that is measured on tasks 0..t after training task t, by a list of metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from lgan.data.datamodule import TaskSequenceDataModule
from lgan.errors import RunError
from lgan.metrics.accuracy_reverse import When
from lgan.metrics.base import Metric, Values
from lgan.metrics.evidence import Evidence, Head, Sampler
from lgan.metrics.reference import Reference


class Evaluator(Reference):
    """Measures a method by metrics, in this order (None: left out), and has what all measure with.

    What `metrics.accuracy_reverse.when` refers to is `reverse`; `Reference` takes the settings.
    """

    def __init__(
        self,
        metrics: Mapping[str, Metric | None],
        reverse: When = "last",
        **settings: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**settings)
        self.metrics = [metric for metric in metrics.values() if metric is not None]
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
        """Measure tasks 0..task; see `Evidence` for the arguments."""
        if not self.references:
            raise RunError("Evaluator.prepare must be called before Evaluator.evaluate.")
        evidence = Evidence(self, task, make_sampler, head)
        values = Values([{} for _ in evidence.tasks])
        for metric in self.metrics:
            if all(map(evidence.has, metric.needs)):
                values.add(metric.measure(evidence))
        return values
