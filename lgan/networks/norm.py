"""Batch normalisation with statistics per class, MeRGAN's way of conditioning (section 3)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.modules.batchnorm import _BatchNorm

Statistics = Literal["class", "batch", "none"]

EPS = 1e-5
LARGEST = 2**21
"""Most numbers that statistics by class hold at once, beside their inputs and results."""


class ClassBatchNorm2d(nn.Module):
    """Batch norm that always uses the current batch, in training and in eval mode.

    MeRGAN's generator is called with one class at a time, so that a class is normalised by its own
    mean and variance and nothing else in the batch can move its images. ``statistics="class"``
    gives just that for a mixed batch in one call: the result equals one class-pure call for each
    class present. There are no running statistics, hence nothing that drifts between tasks; under
    several processes they are those of each process's own part of the batch.

    Args:
        conditional: a scale (from 1) and an offset (from 0) per class, tables (K, C); otherwise one
            of each, shared, (C,). Rows of absent classes receive exactly zero gradient.
        statistics: "class", "batch" (mean and variance over the whole, mixed batch), or "none"
            (scales and offsets alone: an image depends on its own noise only).
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        conditional: bool = True,
        statistics: Statistics = "class",
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.conditional, self.statistics = conditional, statistics
        shape = (num_classes, channels) if conditional else (channels,)
        self.scale = nn.Parameter(torch.ones(shape))
        self.offset = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Normalise x (B, C, H, W) of classes y (B,) int64; the shape stays."""
        if self.statistics == "none":
            scale, offset = self._affine(y)
            return torch.addcmul(offset[..., None, None], x, scale[..., None, None])
        return self._by_class(x, y) if self.statistics == "class" else self._by_batch(x, y)

    def _by_class(self, x: Tensor, y: Tensor) -> Tensor:
        # Written out in float32 element by element, without a matrix product, so that neither
        # autocast nor TF32 rounds the statistics; and as sums, so that it is deterministic.
        flat = x.flatten(2).float()
        share = F.one_hot(y, self.num_classes).float()
        share = share / share.sum(0).clamp(min=1)
        centred = flat - self._class_mean(flat.mean(2), share, y).unsqueeze(2)
        variance = self._class_mean(centred.square().mean(2), share, y)
        scale, offset = self._affine(y)
        normalised = centred * (scale * torch.rsqrt(variance + EPS)).unsqueeze(2)
        return (normalised + offset.unsqueeze(2)).to(x.dtype).view_as(x)

    @staticmethod
    def _class_mean(values: Tensor, share: Tensor, y: Tensor) -> Tensor:
        """Replace each row of values (B, C) by the mean over the rows of its class."""
        parts = values.split(max(1, LARGEST // max(1, share.numel())), dim=1)
        means = [(share.unsqueeze(2) * part.unsqueeze(1)).sum(0) for part in parts]
        return F.embedding(y, torch.cat(means, dim=1))

    def _by_batch(self, x: Tensor, y: Tensor) -> Tensor:
        flat = x.float()
        if not self.conditional:
            made = F.batch_norm(flat, None, None, self.scale, self.offset, training=True, eps=EPS)
            return made.to(x.dtype)
        scale, offset = self._affine(y)
        normalised = F.batch_norm(flat, None, None, training=True, eps=EPS)
        made = torch.addcmul(offset[..., None, None], normalised, scale[..., None, None])
        return made.to(x.dtype)

    def _affine(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return scale and offset, (B, C) or, shared, (1, C)."""
        if not self.conditional:
            return self.scale.unsqueeze(0), self.offset.unsqueeze(0)
        return F.embedding(y, self.scale), F.embedding(y, self.offset)


def looks_at_batch(network: nn.Module) -> bool:
    """Return whether norms in eval mode use the statistics of all that is in the batch."""
    return any(
        (isinstance(m, ClassBatchNorm2d) and m.statistics == "batch")
        or (isinstance(m, _BatchNorm) and not m.track_running_stats)
        for m in network.modules()
    )
