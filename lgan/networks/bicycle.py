"""BicycleGAN's networks: a U-Net that a code steers, an encoder, discriminators at two scales.

Source: Zhu et al. 2017 and its PyTorch code (papers/piggyback_gan.md 5); biases before norms, too.
"""

from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn

from lgan.arguments import Count
from lgan.errors import ConfigError
from lgan.networks.patchgan import patch_layers, require_patch
from lgan.networks.roles import ImageShape, PictureDiscriminator, Translator, with_channels
from lgan.networks.translation import LEAK, NormKind, init_normal, make_norm
from lgan.networks.unet import Downs, unet_widths


class CodeBlock(nn.Module):
    """One level of the U-Net; unlike pix2pix's, the skip is not activated and comes last."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        inner: int,
        code_length: int,
        submodule: Self | None,
        norm: NormKind,
        outermost: bool = False,
    ) -> None:
        super().__init__()
        self.outermost = outermost
        down: list[nn.Module] = [nn.Conv2d(inputs + code_length, inner, 4, stride=2, padding=1)]
        returned = inner if submodule is None else 2 * inner
        up = nn.ConvTranspose2d(returned, outputs, 4, stride=2, padding=1)
        if not outermost:
            down = [nn.LeakyReLU(LEAK, inplace=True), *down]
            down += [make_norm(norm, inner)] if submodule is not None else []
        self.down, self.submodule = nn.Sequential(*down), submodule
        last = nn.Tanh() if outermost else make_norm(norm, outputs)
        self.up = nn.Sequential(nn.ReLU(inplace=True), up, last)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Map x (B, inputs, H, W) and the code to (B, outputs [+ inputs but outermost], H, W)."""
        maps = code[:, :, None, None].expand(-1, -1, *x.shape[-2:])
        inner = self.down(torch.cat([x, maps], dim=1))
        if self.submodule is not None:
            inner = self.submodule(inner, code)
        own = self.up(inner)
        return own if self.outermost else torch.cat([own, x], dim=1)


class BicycleUnet(Translator):
    """BicycleGAN's `netG` with its keys: 54,794,627 parameters with 8 downs, 42,145,155 with 7."""

    last_layers = ("model.up.1",)

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        ngf: Count = 64,
        downs: Downs = 8,
        code_length: Count = 8,
        norm: NormKind = "instance",
        input_channels: Count | None = None,
    ) -> None:
        super().__init__()
        outputs, height, width = image_shape
        self.code_length = code_length
        self.multiple = self.least = 2**downs
        self.require_size(height, width)
        block = None
        for outer, inner in reversed(list(pairwise(unet_widths(ngf, downs)))):
            block = CodeBlock(outer, outer, inner, code_length, block, norm)
        inputs = with_channels(image_shape, input_channels)[0]
        self.model = CodeBlock(inputs, outputs, ngf, code_length, block, norm, outermost=True)
        init_normal(self)

    def forward(self, pictures: Tensor, code: Tensor) -> Tensor:
        """Return pictures (B, C, H, W) in [-1, 1] of pictures and their codes (B, code_length)."""
        self.require_size(pictures.shape[-2], pictures.shape[-1])
        return self.model(pictures, code)


class EncoderBlock(nn.Module):
    """Residual block that halves the side: norm, activation and 3x3 convolution, twice."""

    def __init__(self, inputs: int, outputs: int, norm: NormKind) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            make_norm(norm, inputs),
            nn.LeakyReLU(LEAK),  # not in place: without a norm it would change the shortcut's input
            nn.Conv2d(inputs, inputs, 3, padding=1),
            make_norm(norm, inputs),
            nn.LeakyReLU(LEAK),
            nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.AvgPool2d(2)),
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, inputs, H, W) to (B, outputs, H/2, W/2)."""
        return self.conv(x) + self.shortcut(x)


class BicycleEncoder(nn.Module):
    """BicycleGAN's `netE` with its keys: 2,590,032 parameters with 5 blocks, 1,344,080 with 4.

    `ndf` channels are behind the first convolution; 2, 3, 4, 4 ... times as many follow. `blocks`
    are halvings, the first convolution counted: 5 for 256 pixels, 4 for 128, 3 for 64; at 256 and
    128 the average over all places is the code's over 8x8.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        code_length: Count = 8,
        ndf: Count = 64,
        blocks: Count = 5,
        norm: NormKind = "instance",
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        if min(height, width) < 2 ** (blocks + 1):
            raise ConfigError(
                f"network.generator.encoder.blocks={blocks} needs pictures of at least "
                f"{2 ** (blocks + 1)} pixels a side, not {height}x{width}; lower it."
            )
        widths = [ndf * min(i + 1, 4) for i in range(blocks)]
        self.fc = nn.Sequential(nn.Linear(widths[-1], code_length))
        self.fcVar = nn.Sequential(nn.Linear(widths[-1], code_length))
        self.conv = nn.Sequential(
            nn.Conv2d(channels, ndf, 4, stride=2, padding=1),
            *(EncoderBlock(i, o, norm) for i, o in pairwise(widths)),
            nn.LeakyReLU(LEAK),
            nn.AdaptiveAvgPool2d(1),
        )
        init_normal(self)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance, both (B, code_length), of images (B, C, H, W)."""
        features = self.conv(images).flatten(1)
        return self.fc(features), self.fcVar(features)


class MultiScalePatchGAN(PictureDiscriminator):
    """PatchGANs on the target and on its averages; the keys are those of BicycleGAN's `netD`.

    3,458,978 parameters with 3 layers ("basic_256_multi"), 830,626 with 2 ("basic_128_multi").
    Batch norm leaves out the biases before it, and BicycleGAN does not.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        ndf: Count = 64,
        n_layers: Count = 3,
        scales: Count = 2,
        norm: NormKind = "instance",
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        shrink = 2 ** (scales - 1)
        require_patch(height // shrink, width // shrink, n_layers)
        for index in range(scales):
            # The code's rule: at further scales the width falls faster than the side.
            ndf = max(round(ndf / 2**index), 1)
            self.add_module(f"model{index}", patch_layers(channels, ndf, n_layers, norm))
        self.down = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)
        self.scales = scales
        init_normal(self)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return scores (B, 1, h, w) of images (B, C, H, W) for each scale, the largest first."""
        scores = []
        for index in range(self.scales):
            images = self.down(images) if index else images
            scores.append(self.get_submodule(f"model{index}")(images))
        return tuple(scores)
