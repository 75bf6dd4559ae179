"""Joint training (JT) of a classifier alone: the upper bound of single-head accuracy."""

from collections.abc import Iterator
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from lgan.data.images import placed
from lgan.errors import RunError
from lgan.methods.base import LifelongGAN
from lgan.objectives.base import Batch
from lgan.seeding import Noise


class JointClassifier(LifelongGAN):
    """Train a discriminator's class head on the real data of all tasks so far (DGM, "JT").

    Each task starts afresh, and takes `training.steps` * `training.critic_steps` steps.
    """

    cumulative_data: ClassVar[bool] = True
    lacks: ClassVar[tuple[str, ...]] = ("one generator for all tasks", "tasks that come one by one")
    has_generator, renews_discriminator = False, True
    refuses = {"pictures": "there are no classes to tell apart; choose method=per_task."}

    @property
    def players(self) -> dict[str, nn.Module]:
        """The discriminator alone."""
        return {"discriminator": self.discriminator}

    def rules_broken(self) -> list[str]:
        """Say that all real data are kept."""
        return [*super().rules_broken(), "keeps all real data, classifier only"]

    def schedule(self, batches: list[Batch]) -> Iterator[tuple[str, Batch]]:
        """Yield a step of the discriminator for each batch."""
        for batch in batches:
            yield "discriminator", batch

    def loss(self, player: str, batch: Batch) -> Tensor:
        """Return the mean cross entropy over the classes seen so far, a scalar."""
        seen = placed(tuple(self.seen_classes), batch["y"].device)
        position = (batch["y"][:, None] == seen).int().argmax(dim=1)
        return F.cross_entropy(self.classify(batch["x"]).float()[:, seen], position)

    def sample(self, labels: Tensor, noise: Noise) -> Tensor:
        """Refuse: there is no generator."""
        raise RunError(f"method={self.name} trains a classifier only: it has no images to give.")

    def parameter_counts(self) -> dict[str, int]:
        """Count the discriminator; nothing is trained or stored to generate."""
        counts = super().parameter_counts()
        return {name: counts[name] for name in ("discriminator", "total")}
