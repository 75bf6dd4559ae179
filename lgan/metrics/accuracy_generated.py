"""Accuracy on generated images, by a classifier trained on real ones (MeRGAN's "Acc")."""

from lgan.metrics.base import Metric, Values
from lgan.metrics.evidence import Evidence, fractions
from lgan.run.columns import Column, over_tasks, percent

NAME = "accuracy_generated"


class AccuracyGenerated(Metric):
    """The share of generated images that the classifier takes, of all classes, for their own."""

    needs = ("generated", "classifier")
    columns = (
        percent(NAME, f"{NAME}, all classes, %", f"overall.{NAME}", 1, matrix=True),
        *over_tasks(NAME, "accuracy_first_task", "forgetting", "accuracy", rank=2),
        Column("classifier", "evaluation classifier on real test images, %",
               "references.classifier_test_accuracy", None, 1, "percent", rank=4),
    )  # fmt: skip

    def measure(self, evidence: Evidence) -> Values:
        """Return the value per class, task and overall."""
        labels = evidence.generated.labels
        right = fractions(evidence.predicted == labels, labels, evidence.classes)
        return Values.by_class(NAME, right, evidence.tasks)
