"""Discriminators that score patches: PatchGAN of pix2pix and CycleGAN, and one for single pixels.

Source: Isola et al. 2017 and its PyTorch code; layers and counts in papers/piggyback_gan.md 2.3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lgan.arguments import Count
from lgan.errors import ConfigError
from lgan.networks.roles import PictureDiscriminator
from lgan.networks.shapes import ImageShape
from lgan.networks.translation import LEAK, NormKind, init_normal, make_norm


def patch_layers(inputs: int, ndf: int, n_layers: int, norm: NormKind) -> nn.Sequential:
    """Return the layers of a PatchGAN: `n_layers` halving 4x4 convolutions, two that do not.

    Args:
        inputs: channels of the pictures.
        ndf: channels behind the first convolution; 2, 4, 8, 8 ... times as many follow.
        n_layers: a score sees 70x70 pixels with 3, 34x34 with 2, 16x16 with 1.
        norm: with "batch" the convolutions before it have no bias, as in the PyTorch code.
    """
    layers: list[nn.Module] = [nn.Conv2d(inputs, ndf, 4, stride=2, padding=1), _activation()]
    before = ndf
    for index in range(1, n_layers + 1):
        after, stride = ndf * min(2**index, 8), 2 if index < n_layers else 1
        layers += [
            nn.Conv2d(before, after, 4, stride=stride, padding=1, bias=norm != "batch"),
            make_norm(norm, after),
            _activation(),
        ]
        before = after
    return nn.Sequential(*layers, nn.Conv2d(before, 1, 4, stride=1, padding=1))


def require_patch(height: int, width: int, n_layers: int) -> None:
    """Refuse pictures too small for a single score."""
    least = 3 * 2**n_layers
    if min(height, width) < least:
        raise ConfigError(
            f"network.discriminator.n_layers={n_layers} needs pictures of at least {least}x{least} "
            f"pixels, not {height}x{width}; lower it or enlarge the pictures."
        )


def with_condition(images: Tensor, condition: Tensor | None, conditional: bool) -> Tensor:
    """Return what a discriminator looks at: condition and images as channels, or images alone."""
    if conditional != (condition is not None):
        raise ConfigError(
            f"network.discriminator.conditional={conditional} does not fit the objective, which "
            f"calls it {'without' if conditional else 'with'} the input pictures; set it to "
            f"{not conditional}."
        )
    return images if condition is None else torch.cat([condition, images], dim=1)


class PatchGAN(PictureDiscriminator):
    """Pictures to one score per patch; the keys are those of pix2pix's `netD`.

    2,768,705 parameters on 3 + 3 channels with batch norm, 2,765,633 on 3, 2,764,737 on 3 with
    instance norm (ndf 64, 3 layers).

    Args:
        image_shape: (C, H, W) of the target, at least 3 * 2^n_layers on a side.
        ndf: channels behind the first convolution.
        n_layers: a score sees 70x70 pixels with 3, 34x34 with 2, 16x16 with 1.
        conditional: look at the input picture too (pix2pix); it comes before the target's channels.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        ndf: Count = 64,
        n_layers: Count = 3,
        norm: NormKind = "batch",
        conditional: bool = True,
        input_channels: Count | None = None,
    ) -> None:
        super().__init__()
        require_patch(image_shape[1], image_shape[2], n_layers)
        self.conditional = conditional
        inputs = _channels(image_shape, conditional, input_channels)
        self.model = patch_layers(inputs, ndf, n_layers, norm)
        init_normal(self)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return scores (B, 1, h, w), 30x30 of 256x256, of images (B, C, H, W).

        Args:
            images: true or generated pictures.
            condition: the input pictures (B, inputs, H, W), if it is conditional.
        """
        return self.model(with_condition(images, condition, self.conditional))


class PixelGAN(PictureDiscriminator):
    """Pictures to one score per pixel, by 1x1 convolutions; arguments as `PatchGAN`'s."""

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        ndf: Count = 64,
        norm: NormKind = "batch",
        conditional: bool = True,
        input_channels: Count | None = None,
    ) -> None:
        super().__init__()
        self.conditional = conditional
        bias = norm != "batch"
        self.net = nn.Sequential(
            nn.Conv2d(_channels(image_shape, conditional, input_channels), ndf, 1),
            _activation(),
            nn.Conv2d(ndf, 2 * ndf, 1, bias=bias),
            make_norm(norm, 2 * ndf),
            _activation(),
            nn.Conv2d(2 * ndf, 1, 1, bias=bias),
        )
        init_normal(self)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return scores (B, 1, H, W) of images (B, C, H, W); as `PatchGAN.forward`."""
        return self.net(with_condition(images, condition, self.conditional))


def _channels(image_shape: ImageShape, conditional: bool, input_channels: Count | None) -> int:
    inputs = image_shape[0] if input_channels is None else input_channels
    return image_shape[0] + (inputs if conditional else 0)


def _activation() -> nn.LeakyReLU:
    return nn.LeakyReLU(LEAK, inplace=True)
