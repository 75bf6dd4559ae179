"""Accuracy on generated images, by a classifier trained on real ones (MeRGAN's "Acc")."""

from lgan.metrics.base import Metric, Values
from lgan.metrics.evidence import Evidence, fractions
from lgan.run.columns import Column, percent

NAME = "accuracy_generated"


class AccuracyGenerated(Metric):
    """The share of generated images that the classifier takes, of all classes, for their own."""

    needs = ("generated", "classifier")
    columns = (
        percent(NAME, f"{NAME}, all classes, %", f"overall.{NAME}", matrix=True),
        percent("accuracy_first_task", f"{NAME}, first task, %", f"first_task.{NAME}"),
        percent("forgetting", f"forgetting ({NAME}), points", f"forgetting.{NAME}", up=False),
        percent("aiq_accuracy", f"AIQ ({NAME}, mean of means), %", f"aiq_mean_of_means.{NAME}"),
        *(percent(f"{key}_accuracy", f"{title} ({NAME})", f"{key}.{NAME}", hidden=True)
          for key, title in {"aiq_flat": "AIQ, mean of all values, %", "plasticity":
                             "right after learning, %", "backward_transfer":
                             "backward transfer, points"}.items()),
        Column("classifier", "evaluation classifier on real test images, %",
               "references.classifier_test_accuracy", None, 1, "percent"),
    )  # fmt: skip

    def measure(self, evidence: Evidence) -> Values:
        """Return the value per class, task and overall."""
        labels = evidence.generated.labels
        right = fractions(evidence.predicted == labels, labels, evidence.classes)
        return Values.by_class(NAME, right, evidence.tasks)
