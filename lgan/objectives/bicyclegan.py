"""BicycleGAN: paired translation with many outputs (Zhu et al. 2017, "Toward Multimodal ...").

The first half of a batch, (z1, x1), makes two translations of z1; the second half gives real
pictures x2 to the second discriminator:

cVAE-GAN: (mu, s) = E(x1), code c ~ N(mu, e^s), fake1 = G(z1, c); D tells x1 from fake1
cLR-GAN:  random code n ~ N(0, 1), fake2 = G(z1, n); D2 tells x2 from fake2
G and E:  generator(D(fake1)) + generator(D2(fake2)) + lambda_L1 |fake1 - x1|
          + lambda_KL sum KL(N(mu, e^s) || N(0, 1)), a sum over batch and code, not a mean
G alone:  lambda_z |mu(E(fake2)) - n|

"G alone" needs no step of its own: its gradient passes through a frozen E, and ends in G.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lgan.arguments import Weight
from lgan.errors import ConfigError
from lgan.networks.composite import BicycleDiscriminator, BicycleGenerator
from lgan.networks.modes import frozen
from lgan.objectives.adversarial import AdversarialLoss
from lgan.objectives.base import Batch
from lgan.objectives.translation import Made, Translation, mean_distance
from lgan.seeding import Noise


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(mean, e^log_variance) || N(0, 1)) of (B, n), per sample (B,)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)


@dataclass(eq=False)
class BicycleGAN(Translation[BicycleGenerator, BicycleDiscriminator]):
    """Losses of a translator with a code, an encoder and two discriminators, on pairs x and z."""

    name: ClassVar[str] = "bicyclegan"
    composites = (BicycleGenerator, BicycleDiscriminator)
    instead = "network=bicycle256 or the like, or objective=pix2pix for a single translator"
    needs_pairs: ClassVar[bool] = True
    batch_multiple: ClassVar[int] = 2
    adversarial: AdversarialLoss  # in BicycleGAN least squares without a half
    l1_weight: Weight = 10.0
    kl_weight: Weight = 0.01
    code_weight: Weight = 0.5  # lambda_z; 0 saves a pass of the encoder
    d_weight: Weight = 1.0  # of real + fake, of each discriminator

    def make(self, generator: BicycleGenerator, batch: Batch, noise: Noise) -> Made:
        """Return both translations of the first half, the random code and the KL's weighted sum."""
        half, odd = divmod(len(batch["x"]), 2)
        if odd:
            raise ConfigError(
                f"training.batch_size={2 * half + 1} (per device) is odd, and objective=bicyclegan "
                "splits a batch into an encoded and a random half; give an even number."
            )
        translator, inputs = generator.translator, batch["z"][:half]
        mean, log_variance = (t.float() for t in generator.encoder(batch["x"][:half]))
        code = mean + (log_variance / 2).exp() * noise.normal(*mean.shape)
        random_code = noise.normal(*mean.shape)
        encoded, random = translator(inputs, code), translator(inputs, random_code)
        kl = self.kl_weight * (half * noise.world) * divergence(mean, log_variance)
        return {"encoded": encoded, "random": random, "random_code": random_code, "kl": kl}

    def d_losses(
        self, discriminator: BicycleDiscriminator, made: Made, batch: Batch, noise: Noise
    ) -> Tensor:
        """Return the loss of `encoded` (D) and `random` (D2), of each of the first half."""
        first, second = batch["x"].chunk(2)
        encoded = self.tell_apart(discriminator.encoded, first, made["encoded"])
        return encoded + self.tell_apart(discriminator.random, second, made["random"])

    def g_losses(
        self,
        generator: BicycleGenerator,
        discriminator: BicycleDiscriminator,
        made: Made,
        batch: Batch,
    ) -> Tensor:
        """Return the loss of translator and encoder, of the same."""
        loss = self.fool(discriminator.encoded, made["encoded"])
        loss = loss + self.fool(discriminator.random, made["random"])
        loss = loss + self.l1_weight * mean_distance(made["encoded"], batch["x"].chunk(2)[0])
        loss = loss + made["kl"]
        if self.code_weight:
            with frozen([generator]):
                code = generator.encoder(made["random"])[0]
            loss = loss + self.code_weight * mean_distance(code, made["random_code"])
        return loss
