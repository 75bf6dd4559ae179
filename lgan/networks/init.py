"""The initial weights of MeRGAN's networks: those of the WGAN-GP code that it builds on."""

import math
from typing import TypeVar

import torch
from torch import nn

L = TypeVar("L", nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def fans(layer: L) -> tuple[float, float]:
    """Return (fan_in, fan_out); outputs, or a transposed layer's inputs, are `stride**2` fewer."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    area, stride = math.prod(layer.kernel_size), math.prod(layer.stride)
    fan_in, fan_out = float(layer.in_channels * area), float(layer.out_channels * area)
    if isinstance(layer, nn.ConvTranspose2d):
        return fan_in / stride, fan_out
    return fan_in, fan_out / stride


@torch.no_grad()
def initialised(layer: L, gain: float = 2.0) -> L:
    """Fill weights uniformly, by the gain: 2 before a ReLU ("He"), else 1 (Glorot); bias 0."""
    bound = math.sqrt(3 * (2 * gain / sum(fans(layer))))  # variance 2 * gain / (fan_in + fan_out)
    layer.weight.uniform_(-bound, bound)
    if layer.bias is not None:
        layer.bias.zero_()
    return layer
