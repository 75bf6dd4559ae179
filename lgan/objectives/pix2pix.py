"""pix2pix: paired translation (Isola et al. 2017).

D: d_weight (real(D(x, z)) + fake(D(G(z), z))), the mean over patches
G: generator(D(G(z), z)) + lambda_L1 |G(z) - x|
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from lgan.arguments import Weight
from lgan.errors import ConfigError
from lgan.networks.roles import PictureDiscriminator, Translator
from lgan.objectives.adversarial import AdversarialLoss
from lgan.objectives.base import Batch
from lgan.objectives.translation import Made, Translation, is_conditional, mean_distance
from lgan.seeding import Noise


@dataclass(eq=False)
class Pix2Pix(Translation[Translator, PictureDiscriminator]):
    """Losses of a translator and a discriminator of (picture, input) pairs; x and z are pairs."""

    name: ClassVar[str] = "pix2pix"
    needs_pairs: ClassVar[bool] = True
    adversarial: AdversarialLoss  # in pix2pix binary cross entropy
    l1_weight: Weight = 100.0
    d_weight: Weight = 0.5  # the half slows D down against G, as in pix2pix

    def make(self, generator: Translator, batch: Batch, noise: Noise) -> Made:
        """Return {"fake": the translated pictures (B, C, H, W)}."""
        return {"fake": generator(batch["z"], batch["y"])}

    def d_losses(
        self, discriminator: PictureDiscriminator, made: Made, batch: Batch, noise: Noise
    ) -> Tensor:
        """Return d_weight (real(D(x, z)) + fake(D(G(z), z)))."""
        return self.tell_apart(discriminator, batch["x"], made["fake"], batch["z"])

    def g_losses(
        self, generator: Translator, discriminator: PictureDiscriminator, made: Made, batch: Batch
    ) -> Tensor:
        """Return generator(D(G(z), z)) + lambda_L1 |G(z) - x|."""
        loss = self.fool(discriminator, made["fake"], batch["z"])
        return loss + self.l1_weight * mean_distance(made["fake"], batch["x"])

    def check(self, generator: nn.Module, discriminator: nn.Module) -> None:
        """Raise if the networks are not one translator and one discriminator of pairs."""
        assert isinstance(generator, Translator)
        if generator.parts != ("",) or generator.code_length:
            raise ConfigError(
                "objective=pix2pix trains a single translator, and network.generator="
                f"{type(generator).__name__} is a composite of several, or takes a code; choose "
                "a single one (network=unet256, resnet9, ...), or the objective it was made for."
            )
        if not is_conditional(discriminator):
            raise ConfigError(
                "objective=pix2pix shows the discriminator pairs (picture, input), and "
                f"network.discriminator={type(discriminator).__name__} takes a picture alone; "
                "choose a `PictureDiscriminator` with conditional=true."
            )
