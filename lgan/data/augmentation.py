"""Augmentations that run on the device, on batches already in [-1, 1]."""

from __future__ import annotations

from torch import Tensor

from lgan.seeding import Noise


def random_flip(images: Tensor, noise: Noise) -> Tensor:
    """Mirror each picture left to right with probability 1/2.

    Args:
        images: ``(B, C, H, W)``.
        noise: the source of the choice, on the same device.

    Returns:
        A new tensor of the same shape.
    """
    mirrored = noise.uniform(len(images), 1, 1, 1) < 0.5
    return images.flip(-1).where(mirrored, images)
