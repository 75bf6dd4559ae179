"""What can be made of photographs, uint8 ``(N, 3, H, W)`` to the same, to translate back."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_FACTOR = 4  # of the low resolution
_EDGE = 10  # least step of grey per pixel, of 255, that is an edge

CENTRES = ((8, 26, 19), (7, 53, 50), (1, 83, 83), (181, 41, 8), (198, 122, 63), (225, 171, 111))
"""Colours of the segments: k-means (k = 6) of the flower photograph's training half."""

PALETTE = ((0, 0, 128), (0, 128, 128), (0, 200, 60), (200, 0, 0), (255, 128, 0), (255, 255, 0))
"""What the segments are painted in: labels, not likenesses."""


def grey(pictures: Tensor) -> Tensor:
    """Return the grey values, in all three channels."""
    return _luma(pictures).round_().to(torch.uint8).expand_as(pictures).contiguous()


def low_resolution(pictures: Tensor) -> Tensor:
    """Return each picture at a quarter of its size (means of squares), enlarged bilinearly."""
    small = F.interpolate(pictures.float(), scale_factor=1 / _FACTOR, mode="area")
    large = F.interpolate(small, pictures.shape[-2:], mode="bilinear", align_corners=False)
    return large.round_().to(torch.uint8)


def edges(pictures: Tensor) -> Tensor:
    """Return thin black edges on white: Canny's first steps with one threshold.

    Grey values are smoothed, Sobel's operator gives their gradient, and a pixel is an edge if the
    gradient is large, larger than at the neighbour on one side of the edge, and no smaller than at
    that on the other.
    """
    # Whole numbers and binary fractions in float64 are exact, so equal neighbours are equal.
    smooth = _smooth(_luma(pictures).round_().double())
    kernel = smooth.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    kernels = torch.stack((kernel, kernel.t()))[:, None]
    across, down = F.conv2d(_padded(smooth, 1), kernels).split(1, 1)
    size = across.square() + down.square()
    # The gradient's direction, to the nearest of four: 0, 45, 90 and 135 degrees.
    sector = torch.atan2(down, across).mul(4 / torch.pi).round().remainder(4)
    black = (size > _EDGE**2) & _is_ridge(size, sector)
    return black.logical_not().mul(255).to(torch.uint8).expand_as(pictures).contiguous()


def segments(pictures: Tensor) -> Tensor:
    """Return each pixel's class of colour, painted in the colour of a label."""
    smooth = _smooth(pictures.float())
    centres = torch.tensor(CENTRES, dtype=torch.float32)
    distances = [(smooth - c[:, None, None]).square().sum(1) for c in centres]
    classes = torch.stack(distances).argmin(0)
    return torch.tensor(PALETTE, dtype=torch.uint8)[classes].permute(0, 3, 1, 2).contiguous()


def _luma(pictures: Tensor) -> Tensor:
    weights = torch.tensor(_LUMA).view(1, 3, 1, 1)
    return (pictures.float() * weights).sum(1, keepdim=True)


def _padded(pictures: Tensor, by: int) -> Tensor:
    return F.pad(pictures, (by, by, by, by), mode="replicate")


def _smooth(pictures: Tensor) -> Tensor:
    """Apply a binomial filter of 5 x 5, about a Gaussian of standard deviation 1."""
    row = pictures.new_tensor([1, 4, 6, 4, 1]) / 16
    channels = pictures.shape[1]
    kernel = torch.outer(row, row).expand(channels, 1, 5, 5)
    return F.conv2d(_padded(pictures, 2), kernel, groups=channels)


def _is_ridge(size: Tensor, sector: Tensor) -> Tensor:
    """Return where `size` is a maximum in the direction of `sector`; of two equal, the first."""
    around, found = _padded(size, 1), torch.zeros_like(size, dtype=torch.bool)
    height, width = size.shape[-2:]
    for number, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead, behind = (
            around[..., 1 + y : 1 + y + height, 1 + x : 1 + x + width]
            for y, x in ((dy, dx), (-dy, -dx))
        )
        found |= (sector == number) & (size >= ahead) & (size > behind)
    return found
