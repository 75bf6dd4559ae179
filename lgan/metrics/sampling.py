"""Drawing the images that are measured, once per evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from lgan import distributed
from lgan.data.images import to_uint8
from lgan.errors import DataError, TrainingDivergedError

Sampler = Callable[[Tensor], Tensor]


@runtime_checkable
class Skipping(Protocol):
    """A sampler that can pass over a call without drawing."""

    def skip(self, labels: Tensor) -> None:
        """Pass over the inputs of a call."""
        ...


@torch.no_grad()
def generate(
    sampler: Sampler,
    classes: Sequence[int],
    samples: int,
    batch: int,
    image_shape: tuple[int, int, int],
    device: torch.device | str,
) -> Tensor:
    """Draw `samples` images of each class: uint8 (K, samples, C, H, W) on the CPU.

    Each call asks for `batch` images of every class, so that a generator whose norm layers use the
    statistics of a class or of the batch sees the same composition each time; what is over is cut.
    Several ranks share the calls; a sampler that is not a plain function may have a method `skip`,
    which is called in the place of a call that another rank makes.

    Raises:
        DataError: the sampler returns another shape than `image_shape`.
        TrainingDivergedError: an image is not finite.
    """
    labels = torch.tensor(classes, device=device).repeat_interleave(batch)
    calls = range(math.ceil(samples / batch))
    drawn = torch.empty(0, len(classes), batch, *image_shape, dtype=torch.uint8)
    for call in calls:
        if call not in distributed.share_of(calls):
            (sampler.skip if isinstance(sampler, Skipping) else sampler)(labels)
            continue
        images = sampler(labels)
        if images.shape != (len(labels), *image_shape):
            raise DataError(
                f"The sampler returned images of shape {tuple(images.shape)} for {len(labels)} "
                f"labels; expected {(len(labels), *image_shape)}."
            )
        if not torch.isfinite(images).all():
            raise TrainingDivergedError(
                "The generator returns images that are not finite, so they cannot be evaluated; "
                "lower training.learning_rate or look at the losses."
            )
        own = to_uint8(images.float()).cpu().unflatten(0, (len(classes), batch))
        drawn = torch.cat([drawn, own[None]])
    return distributed.gather(drawn).transpose(0, 1).flatten(1, 2)[:, :samples]
