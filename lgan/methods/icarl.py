"""iCaRL: incremental classifier and representation learning (Rebuffi et al., CVPR 2017).

Facts of the paper and of its code: papers/classifier_baselines.md, section 3.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from lgan.arguments import Count, Whole
from lgan.data.images import placed
from lgan.data.memory import Choice, looked_at
from lgan.data.tasks import TaskInfo
from lgan.errors import ConfigError
from lgan.methods.classifier_only import RehearsalClassifier, logits_of
from lgan.networks.modes import having
from lgan.objectives.base import Batch


class ICaRL(RehearsalClassifier):
    """Learn features by distillation, and take a picture for the class with the nearest mean.

    The loss is the binary cross entropy of sigmoid outputs, a mean over batch and outputs. Targets
    of old classes are what the network gave before the task, of pictures that are kept too; those
    of the others are 1 for a picture's class and 0 else. A class is shown by the mean of its kept
    pictures' features, of length 1, taken anew of all classes at each border.

    Args:
        loss_over: outputs in the loss: "seen" so far (paper), or "all" (code), of which those of
            later classes learn to say no.
        mirror: whether means are over the kept pictures and their mirror images (code, CIFAR-100).
        rate_outputs: number of outputs that the learning rate is for: as the loss is a mean over
            outputs, it is multiplied by their number / rate_outputs. None: as it is (Adam divides
            the scale of a loss out). The code's 2.0, of SGD, is for 100 outputs.
        real_total, real_per_class, real_choice: see `Exemplars`.
        **kwargs: see `RehearsalClassifier`.
    """

    means: Tensor
    former: nn.Module | None

    def __init__(
        self,
        *,
        loss_over: Literal["all", "seen"] = "all",
        mirror: bool = False,
        rate_outputs: Count | None = None,
        real_total: Whole | None = 200,
        real_per_class: Count | None = None,
        real_choice: Choice = "herding",
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        how: Any = {"real_per_class": real_per_class, "real_choice": real_choice}
        super().__init__(real_total=real_total, **how, **kwargs)
        self.loss_over, self.mirror, self.rate_outputs = loss_over, mirror, rate_outputs
        if self.memory is None:
            raise ConfigError(
                f"method={self.name} tells classes by the pictures that it keeps of them; set "
                "method.real_total or method.real_per_class."
            )
        self.register_module("former", None)
        with torch.no_grad(), having(self.discriminator.modules(), training=False):
            length = self.features(torch.zeros(1, *self.networks.image_shape)).shape[1]
        self.register_buffer("means", torch.zeros(self.num_classes, length))

    def grow(self, num_classes: int) -> None:
        """Make room for the means of further classes."""
        super().grow(num_classes)
        further = self.means.new_zeros(num_classes - len(self.means), self.means.shape[1])
        self.means = torch.cat([self.means, further])

    def begin_task(self, info: TaskInfo) -> None:
        """Keep the network that gives the targets of old classes."""
        super().begin_task(info)
        if info.index > 0:
            self.former = copy.deepcopy(self.discriminator).requires_grad_(False)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return a fresh optimizer, with the learning rate for so many outputs."""
        optimizers = super().configure_optimizers()
        outputs = self.num_classes if self.loss_over == "all" else len(self.seen_classes)
        factor = outputs / self.rate_outputs if self.rate_outputs else 1.0
        for group in optimizers[0].param_groups:
            group["lr"] *= factor
        return optimizers

    def loss(self, player: str, batch: Batch) -> Tensor:
        """Return the mean binary cross entropy of the outputs, a scalar."""
        logits = self.logits(batch["x"]).float()
        targets = self.targets(batch, logits.shape[1])
        if self.loss_over == "seen":
            seen = placed(tuple(self.seen_classes), logits.device)
            logits, targets = logits[:, seen], targets[:, seen]
        return F.binary_cross_entropy_with_logits(logits, targets)

    @torch.no_grad()
    def targets(self, batch: Batch, outputs: int) -> Tensor:
        """Return what each output (B, outputs) is to give, in [0, 1]."""
        targets = F.one_hot(batch["y"], outputs).float()
        if self.former is not None:
            with having(self.former.modules(), training=False):
                former = logits_of(self.former, batch["x"]).float().sigmoid()
            old = placed(tuple(self.old_classes), former.device)
            targets[:, old] = former[:, old]
        return targets

    def end_task(self, info: TaskInfo) -> None:
        """Choose the pictures to keep, and take the means of all classes anew."""
        super().end_task(info)
        self.former = None
        with torch.no_grad(), having(self.discriminator.modules(), training=False):
            self.take_means()

    def take_means(self) -> None:
        """Take the classes' means of the kept pictures' features."""
        assert self.memory is not None
        kept = self.memory.images()
        views = [self.view, lambda images: self.view(images.flip(-1))][: 1 + self.mirror]
        features = [F.normalize(looked_at(kept, view)[0]) for view in views]
        for label in self.memory.counts:
            own = [part[kept.labels == label] for part in features]
            self.means[label] = F.normalize(torch.cat(own).mean(dim=0), dim=0)

    def classify(self, images: Tensor) -> Tensor:
        """Return minus the squared distances (B, num_classes) to the means, -inf if there is none.

        Within a task, of whose classes no pictures are kept yet, the outputs are returned.
        """
        if self.info is not None:
            return self.logits(images)
        features = F.normalize(self.features(images).float())
        squares = features.square().sum(dim=1, keepdim=True) + 1 - 2 * features @ self.means.T
        return (-squares).masked_fill(~self.means.any(dim=1), -torch.inf)

    def logits(self, images: Tensor) -> Tensor:
        """Return the outputs (B, num_classes) before the sigmoid."""
        return logits_of(self.discriminator, images)

    @property
    def other_heads(self) -> Mapping[str, Callable[[Tensor], Tensor]]:
        """The outputs as a classifier: the paper's "hybrid1"."""
        return {"hybrid1": self.logits}
