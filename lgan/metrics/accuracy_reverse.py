"""Reverse accuracy: a classifier that learnt from generated images, on real ones (MeRGAN)."""

from __future__ import annotations

from typing import Literal

from lgan.metrics.accuracy_single_head import accuracy_on_real
from lgan.metrics.base import Metric, Values
from lgan.metrics.evidence import Evidence
from lgan.run.columns import percent

NAME = "accuracy_reverse"
When = Literal["last", "every", "never"]  # after which task it is measured


class AccuracyReverse(Metric):
    """The accuracy on real test images of a classifier trained on generated images only.

    Beside it stand the ceiling, which is the evaluation classifier's accuracy on the same images
    with the same choice, and the value over all classes of the sequence, seen or not.
    """

    needs = ("generated", "classifier")
    columns = (percent(NAME, f"{NAME}, %", f"overall.{NAME}"),)

    def __init__(self, when: When = "last") -> None:
        self.when = when

    def measure(self, evidence: Evidence) -> Values:
        """Return the values, or none if it is not the time."""
        evaluator = evidence.evaluator
        if self.when == "never" or (self.when == "last" and evidence.tasks != evaluator.tasks):
            return Values()
        classifier = evaluator.learn(evidence.generated, "reverse classifier")
        values = accuracy_on_real(evidence, NAME, classifier)
        ceiling = accuracy_on_real(evidence, NAME, evaluator.classifier.module)
        # Classes not learnt yet are never right: the value over all is the seen classes' share.
        share = len(evaluator.test.of_classes(evidence.classes)) / len(evaluator.test)
        values.overall[f"{NAME}_ceiling"] = ceiling.overall[NAME]
        values.overall[f"{NAME}_all_classes"] = values.overall[NAME] * share
        return values
