"""The image pool: a discriminator also sees older translations (Shrivastava et al. 2017)."""

import torch
from torch import Tensor

from lgan import distributed
from lgan.errors import RunError
from lgan.seeding import Noise


class ImagePool:
    """The last generated pictures, as in CycleGAN.

    Until it holds `size` pictures, the pool keeps each and returns it. Then each is returned as it
    is, or (probability 1/2) changes places with one of the pool. Pictures take their turn one by
    one: one of a batch may come back for a later one of the same batch.

    The choices are made on the pictures' device, with no wait for the GPU; the draws are the
    step's `Noise`, so the pictures kept are the only state. Several ranks hold one and the same
    pool: the pictures of the global batch take their turn in it, and each rank gets its own back.
    """

    def __init__(self, size: int = 50) -> None:
        self.size, self.count = size, 0
        self._images = torch.empty(0)

    def query(self, images: Tensor, noise: Noise) -> Tensor:
        """Return pictures (B, C, H, W), some of them older, without gradient.

        Two draws per picture are taken from the noise, also where they are not needed.
        """
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
