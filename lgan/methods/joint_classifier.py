"""Joint training (JT) of a classifier alone: the upper bound of single-head accuracy."""

from typing import ClassVar

from lgan.methods.classifier_only import ClassifierOnly


class JointClassifier(ClassifierOnly):
    """Train on the real data of all tasks so far, afresh for each task (DGM, "JT")."""

    cumulative_data: ClassVar[bool] = True
    lacks: ClassVar[tuple[str, ...]] = ("tasks that come one by one",)
    renews_discriminator = True

    def rules_broken(self) -> list[str]:
        """Say that all real data are kept."""
        return [*super().rules_broken(), "keeps all real data, classifier only"]
