"""How much the generated images of a class differ from each other, as against real ones."""

import math

from torch import Tensor

from lgan.metrics.base import Metric, Values
from lgan.metrics.evidence import Evidence
from lgan.metrics.reference import where
from lgan.run.columns import Column


class Diversity(Metric):
    """The pixel deviation of a class's generated images over its real test images'; 0: collapse."""

    needs = ("generated",)
    columns = (Column("diversity", "diversity (1 = real)", "overall.diversity", rank=4),)

    def measure(self, evidence: Evidence) -> Values:
        """Return the value per class, task and overall."""
        drawn, real = evidence.generated, evidence.evaluator.compared
        found = {}
        for label in evidence.classes:
            least = pixel_deviation(real.take(where(real, label)))
            own = pixel_deviation(drawn.images[where(drawn, label)])
            found[label] = own / least if least else math.nan  # real images are all the same
        return Values.by_class("diversity", found, evidence.tasks)


def pixel_deviation(images: Tensor) -> float:
    """Return the unbiased deviation of uint8 (N, C, H, W), the mean over pixels; of one nan."""
    return images.double().flatten(1).std(dim=0).mean().item() if len(images) > 1 else math.nan
