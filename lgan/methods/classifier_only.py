"""Classifiers without a generator, single head: nothing is drawn, real pictures may be kept.

Facts of the baselines in DGM's Tables 1 and 2: papers/classifier_baselines.md.
"""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgan.arguments import Count
from lgan.data.images import placed, to_float
from lgan.errors import ConfigError, RunError
from lgan.methods.base import LifelongGAN
from lgan.methods.exemplars import Exemplars
from lgan.methods.fit import Trait
from lgan.objectives.base import Batch
from lgan.seeding import Noise


def logits_of(network: nn.Module, images: Tensor) -> Tensor:
    """Return the class logits (B, num_classes) of a discriminator or a classifier."""
    found = network(images)
    return found if isinstance(found, Tensor) else found[1]


class ClassifierOnly(LifelongGAN):
    """Train the class head of a discriminator, or a classifier in its place, by cross entropy.

    A task takes `training.steps` * `training.critic_steps` steps.
    """

    lacks: ClassVar[tuple[str, ...]] = ("one generator for all tasks",)
    has_generator = False
    refuses: ClassVar[dict[Trait, str]] = {
        "pictures": "there are no classes to tell apart; choose method=per_task."
    }

    @property
    def players(self) -> dict[str, nn.Module]:
        """The discriminator alone."""
        return {"discriminator": self.discriminator}

    @property
    def told_apart(self) -> Sequence[int]:
        """The classes over which the softmax of the loss is: all those seen."""
        return self.seen_classes

    def schedule(self, batches: list[Batch]) -> Iterator[tuple[str, Batch]]:
        """Yield a step of the discriminator for each batch."""
        for batch in batches:
            yield "discriminator", batch

    def classify(self, images: Tensor) -> Tensor:
        """Return class logits (B, num_classes) of real images (B, C, H, W)."""
        return logits_of(self.discriminator, images)

    def loss(self, player: str, batch: Batch) -> Tensor:
        """Return the mean cross entropy over the classes `told_apart`, a scalar."""
        classes = placed(tuple(self.told_apart), batch["y"].device)
        position = (batch["y"][:, None] == classes).int().argmax(dim=1)
        return F.cross_entropy(self.classify(batch["x"]).float()[:, classes], position)

    def sample(self, labels: Tensor, noise: Noise) -> Tensor:
        """Refuse: there is no generator."""
        raise RunError(f"method={self.name} trains a classifier only: it has no images to give.")

    def parameter_counts(self) -> dict[str, int]:
        """Count the discriminator; nothing is trained or stored to generate."""
        counts = super().parameter_counts()
        return {name: counts[name] for name in ("discriminator", "total")}


class RehearsalClassifier(Exemplars, ClassifierOnly):
    """Fine-tuning of a classifier on the current task and the real pictures kept (Vanilla-S).

    Args:
        replay: which rows of a batch are kept pictures: "pooled", as many as if they lay among the
            task's own data (the papers); "balanced", as many as old classes among those seen.
        train_over: the softmax of the loss is over all classes "seen", or the "current" task's,
            which leaves old logits alone and needs that nothing is kept.
        real_per_class: pictures kept of each old class; null: none, or another bound.
        **kwargs: see `Exemplars`.
    """

    needs: ClassVar[tuple[str, ...]] = ("tasks that come one by one",)

    def __init__(
        self,
        *,
        replay: Literal["pooled", "balanced"] = "pooled",
        train_over: Literal["seen", "current"] = "seen",
        real_per_class: Count | None = 10,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(real_per_class=real_per_class, **kwargs)
        if self.memory is not None and train_over == "current":
            raise ConfigError(
                "method.train_over=current leaves no place for old classes, of which pictures are "
                f"kept ({self.memory.bound}); keep none, or train over the classes seen."
            )
        self.replay, self.train_over = replay, train_over

    @property
    def told_apart(self) -> Sequence[int]:
        """The classes over which the softmax of the loss is."""
        seen = self.train_over == "seen"
        return self.seen_classes if seen else self.task_classes[self.task_index]

    def schedule(self, batches: list[Batch]) -> Iterator[tuple[str, Batch]]:
        """Yield a step of the discriminator for each batch, in which kept pictures take rows."""
        yield from super().schedule([self.with_kept(batch) for batch in batches])

    def with_kept(self, batch: Batch) -> Batch:
        """Return the batch with kept pictures, drawn evenly, in place of some of its rows."""
        if self.memory is None or not self.task_index:
            return batch
        kept, rows = self.memory.images(self.device), len(batch["y"])
        old = self.noise.uniform(rows) < self.kept_share
        which = self.noise.integers(len(kept), rows)
        images, labels = to_float(kept.take(which)), self._kept_labels[which]
        return {
            "x": torch.where(old[:, None, None, None], images, batch["x"]),
            "y": torch.where(old, labels, batch["y"]),
        }

    @property
    def kept_share(self) -> float:
        """The share of rows that kept pictures take, on average."""
        assert self.info is not None and self.memory is not None
        if self.replay == "balanced":
            return len(self.old_classes) / len(self.seen_classes)
        return len(self.memory) / (len(self.memory) + len(self.info.images))

    def on_fit_start(self) -> None:
        """Hold the labels of the pictures kept where they are used."""
        super().on_fit_start()
        if self.memory is not None and self.task_index:
            self._kept_labels = self.memory.images(self.device).labels.to(self.device)
