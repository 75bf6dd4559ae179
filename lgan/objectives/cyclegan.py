"""CycleGAN: unpaired translation, both ways (Zhu et al. 2017).

F translates inputs z, B targets x; D_t and D_s are the domains' discriminators:

G: generator(D_t(F(z))) + generator(D_s(B(x))) + lambda (|B(F(z)) - z| + |F(B(x)) - x|)
   + lambda_idt lambda (|F(x) - x| + |B(z) - z|)
D: d_weight (real(D_t(x)) + fake(D_t(pool(F(z))))) + the same for D_s, z and B(x)
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from lgan import distributed
from lgan.arguments import Weight, Whole
from lgan.errors import RunError
from lgan.networks.composite import CycleDiscriminator, CycleGenerator
from lgan.objectives.adversarial import AdversarialLoss
from lgan.objectives.base import Batch
from lgan.objectives.translation import Made, Translation, mean_distance
from lgan.seeding import Noise


class ImagePool:
    """The last generated pictures: D also sees older translations (Shrivastava et al. 2017).

    Until it holds `size` pictures, the pool keeps each and returns it. Then each is returned as it
    is, or (probability 1/2) changes places with one of the pool, without a wait for the GPU. Those
    of the global batch take their turn one by one; ranks hold the same pool and get their own back.
    """

    def __init__(self, size: int = 50) -> None:
        self.size, self.count = size, 0
        self._images = torch.empty(0)

    def query(self, images: Tensor, noise: Noise) -> Tensor:
        """Return pictures (B, C, H, W), some older, no gradient; two draws each, needed or not."""
        images = images.detach()
        if not self.size:
            return images
        everyone, noise = distributed.gather(images), noise.whole()
        self._make_room(everyone)
        swaps = (noise.uniform(len(everyone)) < 0.5).to(images.device)
        places = noise.integers(self.size, len(everyone)).to(images.device)
        turns = zip(everyone, swaps, places, strict=True)
        return distributed.share(torch.stack([self._turn(*turn) for turn in turns]))

    def reset(self) -> None:
        """Empty the pool."""
        self.count, self._images = 0, torch.empty(0)

    def state_dict(self) -> dict[str, Tensor]:
        """Return {"images": the pictures kept (count, C, H, W)}."""
        return {"images": self._images[: self.count].clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Load what `state_dict` returned."""
        kept = state["images"]
        if len(kept) > self.size:
            raise RunError(
                f"the saved image pool has {len(kept)} pictures and objective.pool_size="
                f"{self.size}; continue with at least that size."
            )
        self.reset()
        if len(kept):
            self._make_room(kept)
            self._images[: len(kept)] = kept
            self.count = len(kept)

    def _make_room(self, like: Tensor) -> None:
        if not self._images.numel():
            self._images = like.new_zeros(self.size, *like.shape[1:])
        self._images = self._images.to(like.device)

    def _turn(self, image: Tensor, swap: Tensor, place: Tensor) -> Tensor:
        if self.count < self.size:
            self._images[self.count] = image
            self.count += 1
            return image
        rows = place[None]
        kept = self._images.index_select(0, rows)[0]
        self._images.index_copy_(0, rows, torch.where(swap, image, kept)[None])
        return torch.where(swap, kept, image)


@dataclass(eq=False)
class CycleGAN(Translation[CycleGenerator, CycleDiscriminator]):
    """Losses of two translators and two discriminators; x and z need not be pairs."""

    name: ClassVar[str] = "cyclegan"
    composites = (CycleGenerator, CycleDiscriminator)
    instead: ClassVar[str] = "network=cycle_resnet6 or the like, or objective=pix2pix for pairs"
    order: ClassVar[tuple[str, ...]] = ("generator", "discriminator")
    adversarial: AdversarialLoss  # in CycleGAN least squares without a half
    cycle_weight: Weight = 10.0  # lambda
    identity_weight: Weight = 0.5  # lambda_idt; 0 saves two passes
    pool_size: Whole = 50  # pictures kept per side for D's fake ones
    d_weight: Weight = 0.5

    def __post_init__(self) -> None:
        self.pools = {side: ImagePool(self.pool_size) for side in ("target", "source")}
        self.varies = "its pools of older pictures fill up" if self.pool_size else ""

    def make(self, generator: CycleGenerator, batch: Batch, noise: Noise) -> Made:
        """Return {"target": F(z), "source": B(x)}, both (B, C, H, W)."""
        target = generator.forward_(batch["z"], batch["y"])
        return {"target": target, "source": generator.backward_(batch["x"], batch["y"])}

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
        x, z, y = batch["x"], batch["z"], batch["y"]
        back, forth = generator.backward_(made["target"], y), generator.forward_(made["source"], y)
        loss = loss + self.cycle_weight * (mean_distance(back, z) + mean_distance(forth, x))
        if self.identity_weight:
            weight = self.cycle_weight * self.identity_weight
            target, source = generator.forward_(x, y), generator.backward_(z, y)
            loss = loss + weight * (mean_distance(target, x) + mean_distance(source, z))
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
