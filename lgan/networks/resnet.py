"""MeRGAN's networks for LSUN: the ResNets of WGAN-GP on 64x64 images, with an auxiliary classifier.

Source: the official code (`gan64_model.py`, GoodGenerator and GoodDiscriminator).
"""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from lgan.arguments import Count
from lgan.networks.init import initialised
from lgan.networks.norm import EPS, ClassBatchNorm2d, Statistics
from lgan.networks.roles import ClassDiscriminator, ImageShape, require_side

SIDE = 64


def _convolution(
    inputs: int, outputs: int, kernel: int = 3, bias: bool = True, gain: float = 2.0
) -> nn.Conv2d:
    return initialised(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias), gain)


class UpBlock(nn.Module):
    """Residual block that doubles the side; norms see the classes y."""

    def __init__(
        self, inputs: int, outputs: int, num_classes: int, conditional: bool, statistics: Statistics
    ) -> None:
        super().__init__()
        self.shortcut = _convolution(inputs, outputs, kernel=1, gain=1.0)
        self.norm1 = ClassBatchNorm2d(inputs, num_classes, conditional, statistics)
        self.conv1 = _convolution(inputs, outputs, bias=False)
        self.norm2 = ClassBatchNorm2d(outputs, num_classes, conditional, statistics)
        self.conv2 = _convolution(outputs, outputs)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map x (B, inputs, H, W) of classes y (B,) to (B, outputs, 2H, 2W)."""
        main = F.interpolate(torch.relu(self.norm1(x, y)), scale_factor=2.0)
        main = self.conv2(torch.relu(self.norm2(self.conv1(main), y)))
        # A 1x1 convolution and nearest upsampling commute: this order costs a quarter.
        return F.interpolate(self.shortcut(x), scale_factor=2.0) + main


class DownBlock(nn.Module):
    """Residual block that halves the side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shortcut = _convolution(inputs, outputs, kernel=1, gain=1.0)
        self.main = nn.Sequential(
            nn.GroupNorm(1, inputs, eps=EPS),  # layer norm: statistics over (C, H, W)
            nn.ReLU(),
            _convolution(inputs, inputs, bias=False),
            nn.GroupNorm(1, inputs, eps=EPS),
            nn.ReLU(),
            _convolution(inputs, outputs),
            nn.AvgPool2d(2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, inputs, H, W) to (B, outputs, H/2, W/2)."""
        return self.shortcut(F.avg_pool2d(x, 2)) + self.main(x)


class Mergan64Generator(nn.Module):
    """Noise to 64x64 images by four residual blocks.

    8,622,403 parameters for colour images at width 64 (of the last block; the first two have 8
    times as many) and ten classes. By `conditioning` the one-hot class stands beside the noise
    ("concat", the code's), or scales and offsets are per class ("cbn", the paper's).
    """

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        width: Count = 64,
        z_dim: Count = 128,
        conditioning: Literal["concat", "cbn"] = "concat",
        statistics: Statistics = "class",
    ) -> None:
        super().__init__()
        require_side(image_shape, SIDE, "mergan64")
        self.z_dim, self.num_classes, self.conditioning = z_dim, num_classes, conditioning
        conditional = conditioning == "cbn"
        inputs = z_dim + (0 if conditional else num_classes)
        self.project = initialised(nn.Linear(inputs, 8 * width * 4 * 4), gain=1.0)
        widths = (8 * width, 8 * width, 4 * width, 2 * width, width)
        self.blocks = nn.ModuleList(
            UpBlock(i, o, num_classes, conditional, statistics) for i, o in pairwise(widths)
        )
        self.norm = ClassBatchNorm2d(width, num_classes, conditional, statistics)
        self.to_image = _convolution(width, image_shape[0])

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Return images (B, C, 64, 64) in [-1, 1] from noise z (B, z_dim) and classes y (B,)."""
        if self.conditioning == "concat":
            z = torch.cat([z, F.one_hot(y, self.num_classes).to(z)], dim=1)
        x = self.project(z).unflatten(1, (-1, 4, 4))
        for block in self.blocks:
            x = block(x, y)
        return torch.tanh(self.to_image(torch.relu(self.norm(x, y))))


class Mergan64Discriminator(ClassDiscriminator):
    """Four residual blocks with layer norm; 7,573,771 parameters (colour, width 64, 10 classes)."""

    def __init__(self, image_shape: ImageShape, num_classes: int, width: Count = 64) -> None:
        require_side(image_shape, SIDE, "mergan64")
        trunk = nn.Sequential(
            _convolution(image_shape[0], width, gain=1.0),
            *(DownBlock(i * width, o * width) for i, o in pairwise((1, 2, 4, 8, 8))),
            nn.Flatten(),
        )
        super().__init__(trunk, 8 * width * 4 * 4, num_classes)
        for head in (self.score, self.classify):
            initialised(head, gain=1.0)
