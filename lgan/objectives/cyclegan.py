"""CycleGAN: unpaired translation, both ways (Zhu et al. 2017).

F translates inputs z to the target domain, B targets x to the input domain. With D_t and D_s
the domains' discriminators:

G: generator(D_t(F(z))) + generator(D_s(B(x))) + lambda (|B(F(z)) - z| + |F(B(x)) - x|)
   + lambda_idt lambda (|F(x) - x| + |B(z) - z|)
D: d_weight (real(D_t(x)) + fake(D_t(pool(F(z))))) + the same for D_s, z and B(x)
"""

from typing import Any, ClassVar

from torch import Tensor

from lgan.arguments import Weight, Whole
from lgan.networks.composite import CycleDiscriminator, CycleGenerator
from lgan.objectives.adversarial import AdversarialLoss
from lgan.objectives.base import Batch
from lgan.objectives.image_pool import ImagePool
from lgan.objectives.translation import Made, Translation, mean_distance
from lgan.seeding import Noise


class CycleGAN(Translation[CycleGenerator, CycleDiscriminator]):
    """Losses of two translators and two discriminators.

    The batch's keys are those of `lgan.objectives.translation`; x and z need not be pairs.

    Args:
        adversarial: loss of each patch's score; least squares without a half in CycleGAN.
        cycle_weight: lambda, of both cycles.
        identity_weight: lambda_idt, as a share of lambda; 0 saves two passes.
        pool_size: pictures kept per side, from which D's fake pictures are taken; 0: none.
        d_weight: weight of real + fake of each discriminator.
    """

    name: ClassVar[str] = "cyclegan"
    composites = (CycleGenerator, CycleDiscriminator)
    instead: ClassVar[str] = "network=cycle_resnet6 or the like, or objective=pix2pix for pairs"
    order: ClassVar[tuple[str, ...]] = ("generator", "discriminator")

    def __init__(
        self,
        adversarial: AdversarialLoss,
        cycle_weight: Weight = 10.0,
        identity_weight: Weight = 0.5,
        pool_size: Whole = 50,
        d_weight: Weight = 0.5,
    ) -> None:
        super().__init__(adversarial, d_weight)
        self.cycle_weight, self.identity_weight = cycle_weight, identity_weight
        self.pools = {"target": ImagePool(pool_size), "source": ImagePool(pool_size)}

    def make(self, generator: CycleGenerator, batch: Batch, noise: Noise) -> Made:
        """Return {"target": F(z), "source": B(x)}, both (B, C, H, W)."""
        return {
            "target": generator.forward_(batch["z"], batch["y"]),
            "source": generator.backward_(batch["x"], batch["y"]),
        }

    def d_losses(
        self, discriminator: CycleDiscriminator, made: Made, batch: Batch, noise: Noise
    ) -> Tensor:
        """Return the loss of both discriminators; the pools take the new pictures."""
        fakes = {side: pool.query(made[side], noise) for side, pool in self.pools.items()}
        target = self.tell_apart(discriminator.target, batch["x"], fakes["target"])
        return target + self.tell_apart(discriminator.source, batch["z"], fakes["source"])

    def g_losses(
        self, generator: CycleGenerator, discriminator: CycleDiscriminator, made: Made, batch: Batch
    ) -> Tensor:
        """Return the loss of both translators."""
        loss = self.fool(discriminator.target, made["target"])
        loss = loss + self.fool(discriminator.source, made["source"])
        loss = loss + self.cycle_weight * self._cycles(generator, made, batch)
        if self.identity_weight:
            weight = self.cycle_weight * self.identity_weight
            loss = loss + weight * self._identities(generator, batch)
        return loss

    def reset(self) -> None:
        """Empty both pools: a new task's discriminators never see an old task's pictures."""
        for pool in self.pools.values():
            pool.reset()

    def state_dict(self) -> dict[str, Any]:
        """Return the pools' pictures, by side; every rank has its own."""
        return {side: pool.state_dict() for side, pool in self.pools.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load what `state_dict` returned."""
        for side, pool in self.pools.items():
            pool.load_state_dict(state[side])

    def _cycles(self, generator: CycleGenerator, made: Made, batch: Batch) -> Tensor:
        back = generator.backward_(made["target"], batch["y"])
        forth = generator.forward_(made["source"], batch["y"])
        return mean_distance(back, batch["z"]) + mean_distance(forth, batch["x"])

    def _identities(self, generator: CycleGenerator, batch: Batch) -> Tensor:
        target = generator.forward_(batch["x"], batch["y"])
        source = generator.backward_(batch["z"], batch["y"])
        return mean_distance(target, batch["x"]) + mean_distance(source, batch["z"])
