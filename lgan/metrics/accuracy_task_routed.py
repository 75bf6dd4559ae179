"""Accuracy of the method's own classifier on real test images whose task is told."""

from lgan import distributed
from lgan.metrics.base import Metric, Values
from lgan.metrics.classifier_training import rank
from lgan.metrics.evidence import Evidence, fractions, share
from lgan.metrics.reference import where
from lgan.run.columns import percent

NAME = "accuracy_task_routed"


class AccuracyTaskRouted(Metric):
    """The share of real test images whose class is told by what the method has for their task.

    Never to be read beside `accuracy_single_head`: what holds one class knows it without looking.
    """

    needs = ("head_of",)
    columns = (percent(NAME, f"{NAME} (the task is told), %", f"overall.{NAME}", matrix=True),)

    def measure(self, evidence: Evidence) -> Values:
        """Return the values per class, task and overall; means are over images."""
        evaluator, right = evidence.evaluator, dict[int, float]()
        for task, classes in enumerate(evidence.tasks):
            test, classify = evaluator.test.of_classes(classes), evidence.head_of(task)
            assert classify is not None
            ranked = rank(classify, share(test), evaluator.device, among=evidence.classes, most=1)
            found = distributed.gather(ranked)[:, 0] == test.labels
            right |= fractions(found, test.labels, classes)
        counts = {label: len(where(evaluator.test, label)) for label in evidence.classes}
        return Values.by_class(NAME, right, evidence.tasks, counts)
