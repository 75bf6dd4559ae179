"""The initial weights of MeRGAN's networks: uniform, with a spread read off both fans.

These are the initialisers of the WGAN-GP code that MeRGAN builds on. Fans count what a stride
leaves: a strided convolution's outputs and a transposed convolution's inputs are `stride**2` fewer.
"""

import math

import torch
from torch import nn

Convolution = nn.Conv2d | nn.ConvTranspose2d


def fans(layer: Convolution) -> tuple[float, float]:
    """Return (fan_in, fan_out) of a square-kernel convolution, corrected for its stride."""
    area, stride = math.prod(layer.kernel_size), math.prod(layer.stride)
    fan_in, fan_out = float(layer.in_channels * area), float(layer.out_channels * area)
    if isinstance(layer, nn.ConvTranspose2d):
        return fan_in / stride, fan_out
    return fan_in, fan_out / stride


def init_convolution(layer: Convolution, gain: float = 2.0) -> None:
    """Fill weights uniformly with variance ``2 * gain / (fan_in + fan_out)``, the bias with 0.

    The gain is 2 for layers followed by a ReLU ("He"), 1 for shortcuts and inputs (Glorot).
    """
    _uniform(layer, 2 * gain / sum(fans(layer)))


def init_linear(layer: nn.Linear) -> None:
    """Fill weights by Glorot's uniform rule, the bias with 0."""
    _uniform(layer, 2 / (layer.in_features + layer.out_features))


@torch.no_grad()
def _uniform(layer: nn.Linear | Convolution, variance: float) -> None:
    bound = math.sqrt(3 * variance)
    layer.weight.uniform_(-bound, bound)
    if layer.bias is not None:
        layer.bias.zero_()
