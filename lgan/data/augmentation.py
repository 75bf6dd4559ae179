"""Augmentations that run on the device, on batches already in [-1, 1]."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from lgan.arguments import Count
from lgan.errors import ConfigError
from lgan.seeding import Noise


def random_flip(images: Tensor, noise: Noise) -> Tensor:
    """Mirror each picture of ``(B, C, H, W)`` left to right with probability 1/2."""
    mirrored = noise.uniform(len(images), 1, 1, 1) < 0.5
    return images.flip(-1).where(mirrored, images)


def jitter(images: Tensor, noise: Noise, load_size: Count = 286, flip: bool = True) -> Tensor:
    """Enlarge pictures, cut their old size out at a random place, and mirror half of them.

    As pix2pix and CycleGAN do, with the decoded picture instead of the file: the same for files of
    the training size. `images` are ``(B, C, H, W)`` in [-1, 1], `load_size` is the shorter side
    before the cut.
    """
    height, width = images.shape[-2:]
    short = min(height, width)
    if load_size < short:
        raise ConfigError(
            f"data.augmentation.load_size={load_size} must be at least {short}, the side of the "
            "pictures that are cut out."
        )
    sides = (round(height * load_size / short), round(width * load_size / short))
    larger = F.interpolate(images, sides, mode="bicubic", align_corners=False).clamp_(-1, 1)
    rows = _window(noise, len(images), sides[0], height)
    columns = _window(noise, len(images), sides[1], width)
    batch = torch.arange(len(images), device=images.device)[:, None, None]
    # Indices on both sides of the slice put the channels last.
    cut = larger[batch, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return random_flip(cut, noise) if flip else cut.contiguous()


def _window(noise: Noise, count: int, side: int, length: int) -> Tensor:
    """Return `count` windows of `length` consecutive indices below `side`, ``(count, length)``."""
    starts = noise.integers(side - length + 1, count)
    return starts[:, None] + torch.arange(length, device=starts.device)
