"""The initial weights of MeRGAN's networks: uniform, with a spread read off both fans.

These are the initialisers of the WGAN-GP code that MeRGAN builds on. Fans count what a stride
leaves: a strided convolution's outputs and a transposed convolution's inputs are `stride**2` fewer.
"""

import math
from typing import TypeVar

import torch
from torch import nn

L = TypeVar("L", nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def fans(layer: L) -> tuple[float, float]:
    """Return (fan_in, fan_out) of a layer, of a convolution corrected for its stride."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    area, stride = math.prod(layer.kernel_size), math.prod(layer.stride)
    fan_in, fan_out = float(layer.in_channels * area), float(layer.out_channels * area)
    if isinstance(layer, nn.ConvTranspose2d):
        return fan_in / stride, fan_out
    return fan_in, fan_out / stride


@torch.no_grad()
def initialised(layer: L, gain: float = 2.0) -> L:
    """Fill weights uniformly, with variance ``2 * gain / (fan_in + fan_out)``, the bias with 0.

    The gain is 2 for layers followed by a ReLU ("He"), 1 for the others (Glorot).
    """
    bound = math.sqrt(3 * (2 * gain / sum(fans(layer))))
    layer.weight.uniform_(-bound, bound)
    if layer.bias is not None:
        layer.bias.zero_()
    return layer
