"""Reverse accuracy: a classifier that learnt from generated images, on real ones (MeRGAN)."""

from typing import Literal

import torch

from lgan.data.images import Images
from lgan.metrics.accuracy_single_head import accuracy_on_real
from lgan.metrics.base import Metric, Values
from lgan.metrics.evidence import Evidence
from lgan.metrics.reference import where
from lgan.run.columns import percent

NAME = "accuracy_reverse"
When = Literal["last", "every", "never"]  # after which task it is measured


class AccuracyReverse(Metric):
    """The accuracy on real test images of a classifier trained on generated images only.

    Beside it: the ceiling, of as many real images, and the value over all classes, seen or not.
    """

    needs = ("generated",)
    columns = (
        percent(NAME, f"{NAME}, %", f"overall.{NAME}", 4),
        percent(f"{NAME}_ceiling", "its ceiling: learnt from as many real images, %",
                f"overall.{NAME}_ceiling", None),
    )  # fmt: skip

    def __init__(self, when: When = "last") -> None:
        self.when = when

    def measure(self, evidence: Evidence) -> Values:
        """Return the values, or none if it is not the time."""
        evaluator = evidence.evaluator
        if self.when == "never" or (self.when == "last" and evidence.tasks != evaluator.tasks):
            return Values()
        classifier = evaluator.learn(evidence.generated, "reverse classifier")
        values = accuracy_on_real(evidence, NAME, classifier)
        real = evaluator.learn(as_many(evidence), "its ceiling's classifier")
        ceiling = accuracy_on_real(evidence, NAME, real)
        # Classes not learnt yet are never right: the value over all is the seen classes' share.
        share = len(evaluator.test.of_classes(evidence.classes)) / len(evaluator.test)
        values.overall[f"{NAME}_ceiling"] = ceiling.overall[NAME]
        values.overall[f"{NAME}_all_classes"] = values.overall[NAME] * share
        return values


def as_many(evidence: Evidence) -> Images:
    """Return the first real training images of each class, as many as were generated of it."""
    train = evidence.evaluator.data.training_images_for_evaluation()
    counts = torch.bincount(evidence.generated.labels).tolist()
    return train.subset(torch.cat([where(train, c)[: counts[c]] for c in evidence.classes]))
