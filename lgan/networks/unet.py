"""The U-Net generator of pix2pix for 64, 128 and 256 pixels and their multiples.

Source: Isola et al. 2017 and its PyTorch code; layers and counts in papers/piggyback_gan.md 2.1.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from itertools import pairwise
from typing import Annotated, cast

import torch
from annotated_types import Ge
from torch import Tensor, nn

from lgan.arguments import Count
from lgan.networks.roles import ImageShape, Translator, with_channels
from lgan.networks.translation import LEAK, NormKind, init_normal, make_norm

DROPOUT = 0.5
_down = partial(nn.Conv2d, kernel_size=4, stride=2, padding=1)
_up = partial(nn.ConvTranspose2d, kernel_size=4, stride=2, padding=1)
Downs = Annotated[int, Ge(5)]  # halvings that reach the widths; 6, 7, 8 for 64, 128, 256 pixels


def unet_widths(ngf: int, downs: int) -> list[int]:
    """Return the channels behind each down convolution, from the outside in."""
    return [ngf * min(2**i, 8) for i in range(downs)]


class UnetBlock(nn.Module):
    """One level of the U-Net: down, all that is further in, up; then the skip is concatenated.

    Nested and numbered as pix2pix's `UnetSkipConnectionBlock`. The skip carries the *activated*
    input: there because the LeakyReLU works in place, here because the forward says so.
    """

    def __init__(
        self,
        outer: int,
        inner: int,
        submodule: UnetBlock | None,
        norm: NormKind,
        bias: bool,
        dropout: bool,
    ) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.LeakyReLU(LEAK, inplace=True), _down(outer, inner, bias=bias)]
        if submodule is not None:
            parts += [make_norm(norm, inner), submodule]
        returned = inner if submodule is None else 2 * inner
        parts += [nn.ReLU(inplace=True), _up(returned, outer, bias=bias), make_norm(norm, outer)]
        self.model = nn.Sequential(*parts, *([nn.Dropout(DROPOUT)] if dropout else []))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, outer, H, W) to (B, 2 * outer, H, W): the skip, then what came back."""
        activate, *rest = self.model
        skip = x = activate(x)
        for part in rest:
            x = part(x)
        return torch.cat([skip, x], dim=1)


class UnetGenerator(Translator):
    """pix2pix's `netG` with its keys; 54,419,459 / 41,833,475 / 29,247,491 parameters.

    So with 8 / 7 / 6 `downs`, batch norm, 3 to 3 channels and ngf 64; 54,413,955 / 41,828,995 /
    29,244,035 with `bias=False`: only the last convolution has one, as in pix2pix's PyTorch code
    with batch norm. 2, 4, 8, 8 ... times the first convolution's `ngf` channels follow; `dropout`
    is on the ups to 8 * ngf channels after the innermost, `downs` - 5 of them.
    """

    last_layers = ("model.model.3",)

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        ngf: Count = 64,
        downs: Downs = 8,
        norm: NormKind = "batch",
        bias: bool = True,
        dropout: bool = True,
        input_channels: Count | None = None,
    ) -> None:
        super().__init__()
        outputs, height, width = image_shape
        self.multiple = self.least = 2**downs
        self.require_size(height, width)
        levels = list(pairwise(unet_widths(ngf, downs)))
        block = None
        for index, (outer, inner) in reversed(list(enumerate(levels))):
            drop = dropout and outer == 8 * ngf and index != len(levels) - 1
            block = UnetBlock(outer, inner, block, norm, bias, drop)
        inputs = with_channels(image_shape, input_channels)[0]
        outermost = nn.Sequential(  # no norm, no skip
            _down(inputs, ngf, bias=bias),
            cast(UnetBlock, block),
            nn.ReLU(inplace=True),
            _up(2 * ngf, outputs, bias=True),
            nn.Tanh(),
        )
        self.model = nn.Sequential(OrderedDict(model=outermost))  # as deep as the blocks
        init_normal(self)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return pictures (B, C, H, W) in [-1, 1] of pictures z (B, inputs, H, W); y is unused."""
        self.require_size(z.shape[-2], z.shape[-1])
        return self.model(z)
