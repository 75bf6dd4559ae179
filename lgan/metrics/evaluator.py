"""Everything that is measured on tasks 0..t after training task t, by a list of metrics."""

import math
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import torch

from lgan.arguments import NOTHING
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.distributed import is_main
from lgan.errors import RunError, warn_once
from lgan.metrics.accuracy_reverse import When
from lgan.metrics.base import Metric, Values
from lgan.metrics.classifier_training import TrainedClassifier
from lgan.metrics.evidence import Evidence, Head, MakeSampler
from lgan.metrics.reference import Reference
from lgan.run.columns import TRUSTED


class Evaluator(Reference):
    """Measures a method by metrics, in this order (None: left out); see `Reference`."""

    def __init__(
        self,
        metrics: Mapping[str, Metric | None],
        reverse: When = "last",  # what `metrics.accuracy_reverse.when` refers to
        **settings: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**settings)
        self.metrics = [metric for metric in metrics.values() if metric is not None]
        self.blind: list[int] = []  # tasks of which real test images are no longer there
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
        counts = torch.bincount(self.compared.labels, minlength=data.num_classes).tolist()
        self.blind = [
            t for t, classes in enumerate(self.tasks) if not all(counts[c] for c in classes)
        ]
        if is_main():
            self._warn(classifier, counts)
        self.references = {
            "classifier": classifier.key if classifier else None,
            "classifier_test_accuracy": classifier.accuracy if classifier else None,
            "feature_extractor": extractor.name if extractor else None,
            "feature_extractor_key": extractor.fingerprint if extractor else None,
            "samples_per_class": min(map(self.samples_of, chain.from_iterable(self.tasks))),
            "samples_asked": self.samples_per_class,
            "batch_per_class": self.batch_per_class,
            "reference_split": "test",
            "reference_images": {str(label): n for label, n in enumerate(counts) if n},
        }

    def _warn(self, classifier: TrainedClassifier | None, counts: list[int]) -> None:
        """Say before training which numbers will mean little, and which will be empty."""
        if classifier and classifier.accuracy < TRUSTED:
            warn_once(
                f"the evaluation classifier takes only {classifier.accuracy:.1%} of the real test "
                "images for their class: accuracies and distances measured with it mean little. "
                "Raise evaluation.classifier_training.steps, or choose another evaluation=."
            )
        for index, classes in enumerate(self.tasks):
            real = sum(counts[c] for c in classes)
            drawn = sum(map(self.samples_of, classes))
            empty = [type(m).__name__ for m in self.metrics if m.least > min(real, drawn)]
            if not empty and index not in self.blind:
                continue
            names = ", ".join(self.data.class_names[c] for c in classes)
            if index in self.blind:
                warn_once(
                    f"of task {index} ({names}), which a run before has learnt, there are no real "
                    "test images any more: what depends on them is null."
                )
            else:
                warn_once(
                    f"task {index} ({names}) has {real} real test images and {drawn} generated "
                    f"ones: {', '.join(empty)} will be empty, as some need "
                    f"{max(m.least for m in self.metrics)}. Give more test images "
                    "(data.splits.test_fraction), or raise evaluation.samples_per_class."
                )

    def evaluate(
        self,
        make_sampler: MakeSampler | None,
        head: Head | None,
        task: int,
        jointly: bool = True,
        other_heads: Mapping[str, Head] = NOTHING,
        head_of: Callable[[int], Head | None] = lambda _: None,
    ) -> Values:
        """Measure tasks 0..task; see `Evidence` for the arguments."""
        if not self.references:
            raise RunError("Evaluator.prepare must be called before Evaluator.evaluate.")
        evidence = Evidence(self, task, make_sampler, head, jointly, other_heads, head_of)
        values = Values([{} for _ in evidence.tasks])
        blind = [t for t in self.blind if t <= task]
        for metric in self.metrics if len(blind) <= task else ():
            if all(map(evidence.has, metric.needs)):
                values.add(metric.measure(evidence))
        unknown = {str(c) for t in blind for c in self.tasks[t]}
        for each in values.per_class.values():
            each |= dict.fromkeys(unknown & each.keys(), math.nan)
        for told in [*(values.metrics[t] for t in blind), *([values.overall] if blind else [])]:
            told |= dict.fromkeys(told, math.nan)
        return values
