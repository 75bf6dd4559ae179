"""What the objectives of picture translation share.

A translation task is a class whose noise is a picture. A batch is a dictionary of tensors:

| key | shape | meaning |
|---|---|---|
| x | (B, C, H, W) | pictures of the target domain in [-1, 1] |
| z | (B, C, H, W) | pictures of the input domain in [-1, 1]; paired with x or not |
| y | (B,) | task of each pair |
| weight | (B,), optional | weight of each sample in the sum of losses; 1/B each if absent |
| made | dict, optional | what `prepare` made of these very z and x, once for both players |
"""

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from lgan.data.tasks import TaskKind
from lgan.errors import ConfigError
from lgan.networks.roles import PictureDiscriminator
from lgan.objectives.acgan import sample_weights
from lgan.objectives.adversarial import AdversarialLoss
from lgan.objectives.base import Batch, D, G, Objective
from lgan.seeding import Noise

Made = dict[str, Tensor]


def patch_mean(loss: Callable[[Tensor], Tensor], scores: Tensor | Sequence[Tensor]) -> Tensor:
    """Return a loss per sample (B,): its mean over a map's patches, summed over maps of scales."""
    maps = [scores] if isinstance(scores, Tensor) else scores
    losses = [loss(m.float()).reshape(len(m), -1).mean(dim=1) for m in maps]
    return torch.stack(losses).sum(dim=0)


def mean_distance(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean absolute difference per sample (B,)."""
    if first.shape != second.shape:  # they would silently be broadcast
        raise ConfigError(
            f"the objective compares pictures of shape {tuple(first.shape)} with pictures of "
            f"shape {tuple(second.shape)}; choose a network whose output has the target's shape."
        )
    return (first.float() - second.float()).abs().flatten(1).mean(dim=1)


def is_conditional(discriminator: nn.Module) -> bool:
    """Return whether a discriminator is called with a picture and its condition."""
    return isinstance(discriminator, PictureDiscriminator) and discriminator.conditional


class Translation(Objective[G, D]):
    """Base of the objectives of translation: real against translated pictures."""

    task_kind: ClassVar[TaskKind] = "pictures"
    composites: ClassVar[tuple[type[nn.Module], type[nn.Module]]] = (nn.Module, nn.Module)
    """What generator and discriminator must be, where they are several networks."""
    instead: ClassVar[str] = ""  # what to choose otherwise, for messages
    order: ClassVar[tuple[str, ...]] = ("discriminator", "generator")  # who steps first
    adversarial: AdversarialLoss
    d_weight: float

    def check(self, generator: nn.Module, discriminator: nn.Module) -> None:
        """Raise if the networks are not the composites, or the discriminators are for pairs."""
        networks = {"generator": generator, "discriminator": discriminator}
        for (role, network), kind in zip(networks.items(), self.composites, strict=True):
            if not isinstance(network, kind):
                raise ConfigError(
                    f"objective={self.name} trains a {kind.__name__}, and network.{role}="
                    f"{type(network).__name__} is none; choose {self.instead}."
                )
        for side in filter(is_conditional, discriminator.children()):
            raise ConfigError(
                f"objective={self.name} shows the discriminators a picture alone, and network."
                f"discriminator's {type(side).__name__} was built with conditional=true; set it "
                "to false."
            )

    def make(self, generator: G, batch: Batch, noise: Noise) -> Made:
        """Return the generated pictures, and what else the losses need of the generator."""
        raise NotImplementedError

    def prepare(self, generator: G, batch: Batch, noise: Noise) -> Batch:
        """Return the batch with what the generator makes of it, and its graph, for both players."""
        return {**batch, "made": self.made(generator, batch, noise)}

    def schedule(
        self, generator: G, batches: list[Batch], noise: Noise
    ) -> Iterator[tuple[str, Batch]]:
        """Yield (player, batch) in the objective's order; the last step shares one pass of G."""
        for batch in batches[:-1]:
            yield "discriminator", batch
        batch = self.prepare(generator, batches[-1], noise)
        for player in self.order:
            yield player, batch

    def made(self, generator: G, batch: Batch, noise: Noise) -> Made:
        """Return what `prepare` left in the batch, or make it now, in float32."""
        if "made" in batch:
            return batch["made"]
        return {k: made.float() for k, made in self.make(generator, batch, noise).items()}

    def discriminator_loss(
        self, generator: G, discriminator: D, batch: Batch, noise: Noise
    ) -> Tensor:
        """Return the discriminators' loss, a scalar; no gradient reaches the generator."""
        with torch.no_grad():
            made = self.made(generator, batch, noise)
        made = {key: tensor.detach() for key, tensor in made.items()}
        return weighted_sum(batch, self.d_losses(discriminator, made, batch, noise))

    def generator_loss(self, generator: G, discriminator: D, batch: Batch, noise: Noise) -> Tensor:
        """Return the generator's loss, a scalar."""
        made = self.made(generator, batch, noise)
        return weighted_sum(batch, self.g_losses(generator, discriminator, made, batch))

    def d_losses(self, discriminator: D, made: Made, batch: Batch, noise: Noise) -> Tensor:
        """Return the loss of each sample (B,), or of each of the first half (BicycleGAN)."""
        raise NotImplementedError

    def g_losses(self, generator: G, discriminator: D, made: Made, batch: Batch) -> Tensor:
        """Return the generator's loss of each, as above."""
        raise NotImplementedError

    def tell_apart(
        self, discriminator: nn.Module, real: Tensor, fake: Tensor, *condition: Tensor
    ) -> Tensor:
        """Return a discriminator's loss per sample (B,), d_weight * (real + fake)."""
        on_real = patch_mean(self.adversarial.real, discriminator(real, *condition))
        on_fake = patch_mean(self.adversarial.fake, discriminator(fake, *condition))
        return self.d_weight * (on_real + on_fake)

    def fool(self, discriminator: nn.Module, fake: Tensor, *condition: Tensor) -> Tensor:
        """Return the generator's adversarial loss per sample (B,)."""
        return patch_mean(self.adversarial.generator, discriminator(fake, *condition))


def weighted_sum(batch: Batch, losses: Tensor) -> Tensor:
    """Return the losses' sum by the batch's weights, a scalar; a first half's count twice."""
    share = len(batch["y"]) / len(losses)
    return (share * sample_weights(batch, losses)[: len(losses)] * losses).sum()
