"""Accuracy of the method's own classifier on real test images, over all classes seen (DGM)."""

from lgan import distributed
from lgan.metrics.base import Metric, Values
from lgan.metrics.classifier_training import rank
from lgan.metrics.evidence import Evidence, Head, fractions, share
from lgan.metrics.reference import where
from lgan.run.columns import over_tasks, percent

NAME, TOP = "accuracy_single_head", 5


class AccuracySingleHead(Metric):
    """The share of real test images that the method's own head takes for their class.

    It chooses among the classes seen so far; of more than five, top-5 accuracy too (DGM, Table 2).
    """

    needs = ("head",)
    columns = (
        percent(NAME, f"{NAME}, %", f"overall.{NAME}", 1, matrix=True),
        percent(f"{NAME}_top5", f"{NAME}, top 5, %", f"overall.{NAME}_top5", None, matrix=True),
        percent(f"{NAME}_hybrid1", f"{NAME} by the outputs (hybrid1), %",
                f"overall.{NAME}_hybrid1", None, matrix=True),  # of iCaRL
        percent(f"{NAME}_selected",  # what selection=paper adds
                f"{NAME} at the best step on real validation images of all classes seen, %",
                f"overall.{NAME}_selected", 2),
        *over_tasks(NAME, "single_head_first_task", "forgetting_single_head", "single_head"),
    )  # fmt: skip

    def measure(self, evidence: Evidence) -> Values:
        """Return the values per class, task and overall; means are over images."""
        assert evidence.head is not None
        values = accuracy_on_real(evidence, NAME, evidence.head, top=True)
        for name, head in evidence.other_heads.items():
            values.add(accuracy_on_real(evidence, f"{NAME}_{name}", head))
        return values


def accuracy_on_real(evidence: Evidence, name: str, classify: Head, top: bool = False) -> Values:
    """Return the accuracy on real test images among classes seen, with `top` `<name>_top5` too."""
    seen, evaluator = evidence.classes, evidence.evaluator
    test = evaluator.test.of_classes(seen)
    ranked = rank(classify, share(test), evaluator.device, among=seen, most=TOP)
    right = distributed.gather(ranked) == test.labels[:, None]
    counts = {label: len(where(test, label)) for label in seen}
    first = fractions(right[:, 0], test.labels, seen)
    values = Values.by_class(name, first, evidence.tasks, counts)
    if top and len(seen) > TOP:
        within = fractions(right.any(dim=1), test.labels, seen)
        values.add(Values.by_class(f"{name}_top{TOP}", within, evidence.tasks, counts))
    return values
