"""A bank's maps as one matrix product, mixed before they become maps.

A convolution multiplies unfolded windows, a transposed one folds its products. Where a map has few
positions, that reads a large bank once; a convolution's routine first copies it to its own order.
"""

import math
from typing import Any, cast

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lgan.layers.per_task import Linear


def multiplies(plain: Linear) -> bool:
    """Return whether a layer can be computed so; of linear ones every execution is a product."""
    return not isinstance(plain, nn.Linear) and not isinstance(plain.padding, str)


def taps(plain: Linear) -> int:
    """Return how many products of a filter and a position are mixed: kh * kw if transposed."""
    return math.prod(_window(plain)["kernel_size"]) if _transposed(plain) else 1


def rows_of(plain: Linear, x: Tensor) -> Tensor:
    """Return what filters are multiplied with, (B * positions, kh * kw * Ci), or (..., Ci)."""
    unfolded = x.flatten(2) if _transposed(plain) else F.unfold(x, **_window(plain))
    return unfolded.transpose(1, 2).flatten(0, 1)


def columns_of(plain: Linear, weight: Tensor) -> Tensor:
    """Return n filters as a matrix, (kh * kw * Ci, n), or (Ci, kh * kw * n)."""
    if not _transposed(plain):
        return weight.flatten(1).T
    return weight.flatten(2).transpose(1, 2).flatten(1)


def maps_of(plain: Linear, rows: Tensor, x: Tensor) -> Tensor:
    """Return the maps (B, n, H', W') of products (B * positions * taps, n), for an input x."""
    window = _window(plain)
    spans = zip(*window.values(), cast(nn.Conv2d, plain).output_padding, x.shape[2:], strict=True)
    sizes = [
        (size - 1) * stride + dilation * (kernel - 1) + 1 - 2 * padding + more
        if _transposed(plain)
        else (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        for kernel, dilation, padding, stride, more, size in spans
    ]
    if not _transposed(plain):
        return rows.unflatten(0, (len(x), -1)).transpose(1, 2).unflatten(2, sizes)
    products = rows.unflatten(0, (len(x), -1, taps(plain))).permute(0, 3, 2, 1).flatten(1, 2)
    return F.fold(products, sizes, **window)  # type: ignore[arg-type]


def _window(plain: Linear) -> dict[str, Any]:
    keys = "kernel_size", "dilation", "padding", "stride"
    return {key: getattr(plain, key) for key in keys}


def _transposed(plain: Linear) -> bool:
    return isinstance(plain, nn.ConvTranspose2d)
