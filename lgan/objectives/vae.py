"""A variational autoencoder in the place of a GAN (Kingma and Welling 2014, arXiv 1312.6114).

decoder and encoder: -log p(x | G(code, c)) + beta KL(N(mu, e^s) || N(0, 1)), (mu, s) = E(x)
discriminator:       lambda_CLS CE(C(x), y), a classifier of pictures; it criticises nobody

With beta = 1 (beta-VAE: others) the first line is the negative evidence lower bound, in nats per
picture. A batch is that of `lgan.objectives.acgan`, but that both losses look at x, and that codes
take the place of its z. The encoder is a discriminator of the network's, whose logits are mu and s;
it is not told the class c, of which a generator that is built for one class makes nothing.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgan.arguments import Positive, Weight
from lgan.data.tasks import TaskKind
from lgan.errors import ConfigError
from lgan.networks.composite import Autoencoder
from lgan.networks.factory import NetworkFactory
from lgan.objectives.acgan import judged, sample_weights
from lgan.objectives.base import Batch, Objective
from lgan.objectives.bicyclegan import divergence
from lgan.seeding import Noise

Likelihood = Literal["bernoulli", "gaussian"]
EDGE = 1e-6  # probabilities of a saturated tanh are kept away from 0 and 1


def surprise(images: Tensor, real: Tensor, likelihood: Likelihood, deviation: float) -> Tensor:
    """Return -log p(real | images) of images (B, C, H, W) in [-1, 1], per sample (B,), in nats.

    "bernoulli" takes pixels in [0, 1], grey ones too, for probabilities of white; "gaussian" has
    the images for means of pixels in [-1, 1], of standard deviation `deviation`.
    """
    if likelihood == "gaussian":
        squares = ((real - images) / deviation).square() / 2
        return (squares + math.log(deviation * math.sqrt(2 * math.pi))).flatten(1).sum(1)
    white, mean = (real + 1) / 2, ((images + 1) / 2).clamp(EDGE, 1 - EDGE)
    return -(white * mean.log() + (1 - white) * (1 - mean).log()).flatten(1).sum(1)


@dataclass(eq=False)
class VAE(Objective[Autoencoder, nn.Module]):
    """The evidence lower bound of a decoder with its encoder, and a classifier beside them."""

    task_kind: ClassVar[TaskKind] = "classes"
    name: ClassVar[str] = "vae"
    autoencodes: ClassVar[bool] = True
    likelihood: Likelihood = "bernoulli"
    deviation: Positive = 0.3  # of a pixel in [-1, 1], with likelihood=gaussian
    kl_weight: Weight = 1.0  # beta
    class_weight: Weight = 1.0  # lambda_CLS; 0 leaves the classifier out

    def networks(self, factory: NetworkFactory) -> NetworkFactory:
        """Return a factory whose generators have an encoder."""
        make = partial(Autoencoder, decoder=factory.generator, encoder=factory.discriminator)
        return replace(factory, generator=make)

    def check(self, generator: nn.Module, discriminator: nn.Module) -> None:
        """Raise if the generator has no encoder."""
        if not isinstance(generator, Autoencoder):
            raise ConfigError(
                f"objective=vae trains an Autoencoder, and network.generator="
                f"{type(generator).__name__} is none; build it by `VAE.networks(factory)`."
            )

    def schedule(
        self, generator: Autoencoder, batches: list[Batch], noise: Noise
    ) -> Iterator[tuple[str, Batch]]:
        """Yield a step of classifier and autoencoder on each batch: neither waits for the other."""
        for batch in batches:
            if self.class_weight:
                yield "discriminator", batch
            yield "generator", batch

    def discriminator_loss(
        self, generator: Autoencoder, discriminator: nn.Module, batch: Batch, noise: Noise
    ) -> Tensor:
        """Return the classifier's loss, a scalar; where rows are `drawn`, on what G draws."""
        x = batch["x"]
        if "drawn" in batch:
            with torch.no_grad():
                z = noise.normal(len(x), generator.z_dim)
                fake = generator(z, batch.get("fake_y", batch["y"])).float()
            x = torch.where(batch["drawn"][:, None, None, None], fake, x)
        logits = judged(discriminator, x)[1]
        loss = self.class_weight * F.cross_entropy(logits, batch["y"], reduction="none")
        return (sample_weights(batch, loss) * loss).sum()

    def generator_loss(
        self, generator: Autoencoder, discriminator: nn.Module, batch: Batch, noise: Noise
    ) -> Tensor:
        """Return the negative bound of the batch's pictures, a scalar in nats."""
        mean, log_variance = (part.float() for part in generator.encode(batch["x"]))
        code = mean + (log_variance / 2).exp() * noise.normal(*mean.shape)
        images = generator(code, batch.get("fake_y", batch["y"])).float()
        loss = surprise(images, batch["x"], self.likelihood, self.deviation)
        loss = loss + self.kl_weight * divergence(mean, log_variance)
        return (sample_weights(batch, loss) * loss).sum()

    def reconstruct(self, generator: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return what the decoder makes of the means of the pictures' codes."""
        assert isinstance(generator, Autoencoder)
        return generator(generator.encode(images)[0], labels).float()
