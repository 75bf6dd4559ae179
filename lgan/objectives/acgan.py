"""AC-GAN: a classifier beside the GAN (Odena et al. 2017), with WGAN-GP; papers/mergan.md 2.2.

D: E[D(fake)] - E[D(real)] + lambda_GP E[(||grad D(x_hat)|| - 1)^2] + lambda_CLS CE(C(real), y)
G: -E[D(G(z, c))] + lambda_CLS CE(C(G(z, c)), c)

A batch is a dictionary of tensors:

| key | shape | meaning |
|---|---|---|
| x | (B, C, H, W) | real (or replayed) images in [-1, 1]; the generator's loss does not read it |
| y | (B,) | class of each image |
| fake_y | (B,), optional | classes that the discriminator's generated images are of; y if absent |
| z | (B, z_dim), optional | noise of the generated images; drawn if absent |
| drawn | (B,) of bool, optional | D classifies the generated image instead of x; none if absent |
| weight | (B,), optional | of each sample in the sum of losses, as for replays; 1/B if absent |
| penalised | int, optional | the gradient penalty looks at this many first samples; all if absent |
| penalised_total | int, optional | the same of all ranks together, where their shares differ |
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgan import distributed
from lgan.arguments import Count, Weight
from lgan.data.tasks import TaskKind
from lgan.networks.factory import noise_length
from lgan.networks.modes import in_float32
from lgan.objectives.adversarial import AdversarialLoss
from lgan.objectives.base import Batch, Objective
from lgan.seeding import Noise


def sample_weights(batch: Batch, like: Tensor) -> Tensor:
    """Return the weights (B,) of a batch's samples; uniform with sum 1 where none are given."""
    weight = batch.get("weight")
    return weight if weight is not None else like.new_full((len(batch["y"]),), 1 / len(batch["y"]))


def judged(discriminator: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return scores (B,) and class logits (B, num_classes) in float32, in which losses are."""
    score, logits = discriminator(images)
    return score.float(), logits.float()


def gradient_penalty(
    discriminator: nn.Module,
    real: Tensor,
    fake: Tensor,
    weight: Tensor,
    noise: Noise,
    whole: Tensor | None = None,
) -> Tensor:
    """Return the WGAN-GP penalty E[(||grad_x D(x_hat)||_2 - 1)^2] (Gulrajani et al. 2017).

    x_hat lies uniformly between a real and a generated image (B, C, H, W). The weights (B,) of the
    expectation are normalised by their sum, or by `whole` where ranks have unequal shares.
    """
    mix = noise.uniform(len(real), 1, 1, 1).to(real.dtype)
    between = torch.lerp(fake, real, mix).requires_grad_(True)
    with in_float32(real.device):  # a norm's square and a gradient's gradient need the range
        score = discriminator(between)[0]
    (gradient,) = torch.autograd.grad(score.sum(), between, create_graph=True)
    excess = (gradient.flatten(1).norm(dim=1) - 1).square()
    return (weight / (weight.sum() if whole is None else whole) * excess).sum()


@dataclass(eq=False)
class ACGAN(Objective):
    """Losses of a class-conditional GAN with an auxiliary classifier."""

    task_kind: ClassVar[TaskKind] = "classes"
    name: ClassVar[str] = "acgan"
    adversarial: AdversarialLoss
    class_weight: Weight = 1.0  # lambda_CLS; 0 makes the GAN unconditional
    penalty_weight: Weight = 10.0  # lambda_GP
    penalty_every: Count = 1
    """The penalty is on the first of so many steps of the discriminator, times as many: the same on
    average at less cost (lazy regularisation; Karras et al. 2020, arXiv 1912.04958, B)."""

    def __post_init__(self) -> None:
        self.varies = "with penalty_every steps take turns" if self.penalty_every > 1 else ""

    def fake(self, generator: nn.Module, batch: Batch, noise: Noise) -> Tensor:
        """Return generated images (B, C, H, W) for the batch's classes and noise."""
        z = batch["z"] if "z" in batch else noise.normal(len(batch["y"]), noise_length(generator))
        return generator(z, batch.get("fake_y", batch["y"])).float()

    def discriminator_loss(
        self, generator: nn.Module, discriminator: nn.Module, batch: Batch, noise: Noise
    ) -> Tensor:
        """Return the discriminator's loss, a scalar; no gradient reaches the generator."""
        with torch.no_grad():
            fake = self.fake(generator, batch, noise)
        real_score, real_logits = judged(discriminator, batch["x"])
        fake_score, fake_logits = judged(discriminator, fake)
        loss = self.adversarial.real(real_score) + self.adversarial.fake(fake_score)
        if "drawn" in batch:
            real_logits = torch.where(batch["drawn"][:, None], fake_logits, real_logits)
        loss = self._with_classes(loss, real_logits, batch)
        return loss + self._penalty(discriminator, batch, fake, noise)

    def generator_loss(
        self, generator: nn.Module, discriminator: nn.Module, batch: Batch, noise: Noise
    ) -> Tensor:
        """Return the generator's loss, a scalar."""
        score, logits = judged(discriminator, self.fake(generator, batch, noise))
        return self._with_classes(self.adversarial.generator(score), logits, batch)

    def _with_classes(self, loss: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        if self.class_weight:
            entropy = F.cross_entropy(logits, batch["y"], reduction="none")
            loss = loss + self.class_weight * entropy
        return (sample_weights(batch, loss) * loss).sum()

    def _penalty(
        self, discriminator: nn.Module, batch: Batch, fake: Tensor, noise: Noise
    ) -> Tensor | float:
        if not self.penalty_weight or self.turn % self.penalty_every:
            return 0.0
        count = batch.get("penalised", len(fake))
        real, fake, weight = batch["x"][:count], fake[:count], sample_weights(batch, fake)[:count]
        whole = None
        if "penalised_total" in batch:
            noise = noise.part(batch["penalised_total"])
            whole = distributed.total_of(weight.sum()) / noise.world
        penalty = gradient_penalty(discriminator, real, fake, weight, noise, whole)
        return self.penalty_every * self.penalty_weight * penalty
