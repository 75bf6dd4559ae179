"""DGM's networks for digits: a DCGAN without biases, and MeRGAN's discriminator with batch norm.

Source: Ostapenko et al. 2019 and the official code (papers/dgm.md 1a, 1b), which is for 32x32.
"""

import math
from functools import partial
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from lgan.arguments import Count
from lgan.errors import ConfigError, warn_once
from lgan.networks.chain import Chain, Link
from lgan.networks.heads import HeadPer, head
from lgan.networks.roles import ClassDiscriminator, ImageShape

Init = Literal["xavier", "normal"]
Labels = Literal["auto", "overwrite", "beside"]
LEAK = 0.2


def goes_beside(labels: Labels, length: int, z_dim: int) -> bool:
    """Return whether the one-hot class of this length stands beside the noise, not over its start.

    "overwrite" is the code's way; "auto" is that as long as half of the noise is left.
    """
    if labels == "overwrite" and length >= z_dim:
        raise ConfigError(
            f"network.generator.z_dim={z_dim} must exceed the length of the one-hot class, "
            f"{length}, which overwrites that many entries; or set network.generator.labels=beside."
        )
    if labels == "overwrite" and 2 * length > z_dim:
        warn_once(
            f"the one-hot class overwrites {length} of network.generator.z_dim={z_dim} noise "
            "entries; network.generator.labels=beside leaves them."
        )
    return labels == "beside" or (labels == "auto" and 2 * length > z_dim)


def label_noise(z: Tensor, y: Tensor, length: int, beside: bool = False) -> Tensor:
    """Return the one-hot class and the noise z (B, z_dim), all of it or what is not overwritten."""
    return torch.cat([F.one_hot(y, length).to(z), z if beside else z[:, length:]], dim=1)


def init_weights(weight: Tensor, how: str) -> None:
    """Fill a weight by Xavier's uniform rule with gain sqrt(2), or from N(0, 0.02)."""
    if how == "xavier":
        nn.init.xavier_uniform_(weight, gain=math.sqrt(2))
    else:
        nn.init.normal_(weight, 0.0, 0.02)


def smallest_side(image_shape: ImageShape) -> int:
    """Return the images' side, halved twice and then on as long as it stays whole and 4 or more."""
    side = image_shape[1] // 4
    while side >= 8 and side % 2 == 0:
        side //= 2
    return side


def doublings(image_shape: ImageShape, base_side: int) -> int:
    """Return how often `base_side` is doubled to give the images' side."""
    _, height, width = image_shape
    count = round(math.log2(height / base_side))
    if height != width or count < 2 or base_side * 2**count != height:
        raise ConfigError(
            f"network=dgm: images of {height}x{width} are not {base_side} * 2^k pixels wide "
            "and high with k >= 2; resize the data or set network's base_side."
        )
    return count


class DGMGenerator(nn.Module):
    """Class and noise to images by transposed convolutions; `labels`: see `goes_beside`.

    54,912 weights at width 6 and 227,840 at width 20 for 32x32 images, without norms and head (of
    16 * width * C). The last hidden layer has `width` channels, each before it twice as many. The
    first maps' side is `base_side`, None: `smallest_side`. DGMw's `init` is "xavier" in the code.
    """

    classes_first: ClassVar = ("project.weight",)  # `lgan.networks.growth`

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        width: Count = 6,
        z_dim: Count = 128,
        base_side: Count | None = None,
        init: Init = "xavier",
        head_per: HeadPer = "task",
        labels: Labels = "overwrite",
    ) -> None:
        super().__init__()
        base_side = base_side or smallest_side(image_shape)
        layers = doublings(image_shape, base_side)
        self.beside = goes_beside(labels, num_classes, z_dim)
        self.z_dim, self.num_classes = z_dim, num_classes
        widths = [width * 2 ** (layers - 1 - i) for i in range(layers)]
        inputs = z_dim + num_classes * self.beside
        self.project = nn.ConvTranspose2d(inputs, widths[0], base_side, bias=False)
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(i, o, 4, stride=2, padding=1, bias=False)
            for i, o in pairwise(widths)
        )
        self.norms = nn.ModuleList(map(nn.BatchNorm2d, widths))
        for layer in (self.project, *self.convolutions):
            init_weights(layer.weight, init)  # type: ignore[arg-type]
        for norm in self.norms:
            nn.init.normal_(norm.weight, 1.0, 0.02)  # type: ignore[arg-type]
        last = partial(nn.ConvTranspose2d, kernel_size=4, stride=2, padding=1, bias=False)
        self.head = head(last, width, image_shape[0], num_classes, head_per)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1] from noise z (B, z_dim) and classes y (B,)."""
        x = label_noise(z, y, self.num_classes, self.beside)[:, :, None, None]
        for layer, norm in zip((self.project, *self.convolutions), self.norms, strict=True):
            x = torch.relu(norm(layer(x)))
        return torch.tanh(self.head(x, y))

    def chain(self) -> Chain:
        """Return the layers that can be masked and widened."""
        names = ["project", *(f"convolutions.{i}" for i in range(len(self.convolutions)))]
        links = tuple(map(Link, names, [None, *names[:-1]], names))
        norms = {f"norms.{i}": name for i, name in enumerate(names)}
        return Chain(links, norms, head="head", head_source=names[-1], identities={})


class DGMDiscriminator(ClassDiscriminator):
    """MeRGAN's, with batch norm and without biases in convolutions; `width` doubles by layer.

    261,282 parameters for grey 32x32 images and one class output, 262,882 for colour, each further
    output 2,049 more; `base_side` is the side of the last maps, None for `smallest_side`.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        width: Count = 32,
        base_side: Count | None = None,
    ) -> None:
        base_side = base_side or smallest_side(image_shape)
        layers = doublings(image_shape, base_side)
        widths = [image_shape[0], *(width * 2**i for i in range(layers))]
        parts: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise(widths)):
            layer = nn.Conv2d(inputs, outputs, 5, stride=2, padding=2, bias=False)
            nn.init.normal_(layer.weight, 0.0, 0.02)
            parts.append(layer)
            if index:
                parts.append(nn.BatchNorm2d(outputs))
                nn.init.normal_(parts[-1].weight, 1.0, 0.02)  # type: ignore[arg-type]
            parts.append(nn.LeakyReLU(LEAK))
        trunk = nn.Sequential(*parts, nn.Flatten())
        super().__init__(trunk, widths[-1] * base_side**2, num_classes)
