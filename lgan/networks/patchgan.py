"""The discriminator of pix2pix and CycleGAN, which scores patches.

Source: Isola et al. 2017 and its PyTorch code; layers and counts in papers/piggyback_gan.md 2.3.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from lgan.arguments import Count
from lgan.errors import ConfigError
from lgan.networks.roles import ImageShape, PictureDiscriminator, with_channels
from lgan.networks.translation import LEAK, NormKind, init_normal, make_norm


def patch_layers(inputs: int, ndf: int, n_layers: int, norm: NormKind) -> nn.Sequential:
    """Return the layers of a PatchGAN: `n_layers` halving 4x4 convolutions, two that do not.

    `ndf` channels are behind the first; 2, 4, 8, 8 ... times as many follow. A score sees 70x70
    pixels with 3 layers, 34x34 with 2, 16x16 with 1. As in the PyTorch code, convolutions before
    a batch norm have no bias.
    """
    layers = [nn.Conv2d(inputs, ndf, 4, stride=2, padding=1), nn.LeakyReLU(LEAK, inplace=True)]
    widths = [ndf * min(2**index, 8) for index in range(n_layers + 1)]
    for index, (before, after) in enumerate(pairwise(widths), 1):
        stride = 2 if index < n_layers else 1
        layer = nn.Conv2d(before, after, 4, stride=stride, padding=1, bias=norm != "batch")
        layers += [layer, make_norm(norm, after), nn.LeakyReLU(LEAK, inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, stride=1, padding=1))


def require_patch(height: int, width: int, n_layers: int) -> None:
    """Refuse pictures too small for a single score."""
    least = 3 * 2**n_layers
    if min(height, width) < least:
        raise ConfigError(
            f"network.discriminator.n_layers={n_layers} needs pictures of at least {least}x{least} "
            f"pixels, not {height}x{width}; lower it or enlarge the pictures."
        )


class PatchGAN(PictureDiscriminator):
    """Pictures to one score per patch; the keys are those of pix2pix's `netD`.

    2,768,705 parameters on 3 + 3 channels with batch norm, 2,765,633 on 3, 2,764,737 on 3 with
    instance norm. A conditional one (pix2pix) sees the input picture too, first.
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
        shown = with_channels(image_shape, input_channels)[0] if conditional else 0
        self.model = patch_layers(image_shape[0] + shown, ndf, n_layers, norm)
        init_normal(self)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return scores (B, 1, h, w), 30x30 of 256x256, of images (B, C, H, W) [and inputs]."""
        if self.conditional != (condition is not None):
            raise ConfigError(
                f"network.discriminator.conditional={self.conditional} does not fit the objective, "
                f"which calls it {'without' if self.conditional else 'with'} the input pictures; "
                f"set it to {not self.conditional}."
            )
        return self.model(images if condition is None else torch.cat([condition, images], dim=1))
