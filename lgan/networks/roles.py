"""What methods, objectives and exports know of a network, whoever wrote it.

The factory calls constructors with `image_shape`, (C, H, W), and `num_classes`: all classes of the
data, or those so far (data.capacity=grow), as `lgan.networks.growth` says of how rows are added. A
network that is made for other images refuses them by a ConfigError.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from lgan.errors import ConfigError

ImageShape = tuple[int, int, int]


def require_side(image_shape: ImageShape, side: int, network: str) -> None:
    """Refuse images that are not `side` x `side`."""
    _, height, width = image_shape
    if (height, width) != (side, side):
        raise ConfigError(
            f"network={network} is made for {side}x{side} images but the data are "
            f"{height}x{width}; choose another network or resize the data to {side}."
        )


def with_channels(image_shape: ImageShape, channels: int | None) -> ImageShape:
    """Return the shape with another number of channels; with None the same."""
    return image_shape if channels is None else (channels, *image_shape[1:])


class ClassDiscriminator(nn.Module):
    """Base of our discriminators of classes: one trunk, and two linear heads on its features.

    A network of one's own need not derive from it: any module will do that returns as much, and has
    `features`, if real pictures are to be chosen or told by them (`lgan.methods.exemplars`). The
    trunk maps images (B, C, H, W) to features (B, features); `bias` is that of the logits.
    """

    def __init__(
        self, trunk: nn.Module, features: int, num_classes: int, bias: bool = True
    ) -> None:
        super().__init__()
        self.trunk, self.num_classes = trunk, num_classes
        self.score = nn.Linear(features, 1)
        self.classify = nn.Linear(features, num_classes, bias=bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (B,) and class logits (B, num_classes) of images x (B, C, H, W)."""
        features = self.features(x)
        return self.score(features).squeeze(1), self.classify(features)

    def features(self, x: Tensor) -> Tensor:
        """Return what the heads are given of images x: (B, features)."""
        return self.trunk(x)


class Translator(nn.Module):
    """Base of generators that are called with pictures (B, inputs, H, W) and their tasks (B,).

    They return pictures (B, C, H, W) in [-1, 1]. A network of one's own derives from this class and
    declares what differs from the values here.
    """

    multiple: int = 1  # both sides of a picture must be multiples of this,
    least: int = 1  # and at least this
    code_length: int = 0  # of a random code (B, code_length), a third input; 0: there is none
    last_layers: tuple[str, ...] = ()
    """Dotted names of the layers that tasks do not share; (): the one that was registered last."""
    halves: ClassVar[dict[str, str]] = {"forward": ""}
    """Which submodule translates in each direction; "" is the whole."""
    parts: ClassVar[tuple[str, ...]] = ("",)
    """The networks inside, in the order in which `method.init_from` names their files."""

    def fits(self, height: int, width: int) -> bool:
        """Return whether pictures of this size can be translated."""
        whole = height % self.multiple == 0 and width % self.multiple == 0
        return whole and min(height, width) >= self.least

    def require_size(self, height: int, width: int) -> None:
        """Refuse pictures of a size that does not fit; they need not be square."""
        # While a network is traced the sizes are tensors, and were checked before.
        if not torch.jit.is_tracing() and not self.fits(height, width):
            least = f" and at least {self.least}" if self.least > self.multiple else ""
            raise ConfigError(
                f"network.generator={type(self).__name__}: pictures of {height}x{width} do not "
                f"fit; both sides must be multiples of {self.multiple}{least}: resize or crop the "
                "pictures."
            )


class PictureDiscriminator(nn.Module):
    """Base of discriminators of translations: pictures to scores per patch, and no classes.

    Called with pictures (B, C, H, W) and, if it is conditional, the input pictures too. It returns
    a map of scores (B, 1, h, w), or one for each of several scales.
    """

    conditional: bool = False  # whether it looks at pairs of a picture and its input
