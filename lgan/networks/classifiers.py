"""Classifiers for evaluation: trained on real images and applied to generated ones, or vice versa.

Each maps images (B, C, H, W) in [-1, 1] to logits; `features` gives the layer before the logits,
for Fréchet distances. None has batch statistics: no image's features depend on its neighbours.
"""

import math
from itertools import pairwise
from typing import Annotated

from annotated_types import Ge, MultipleOf
from torch import Tensor, nn

from lgan.arguments import Count
from lgan.errors import ConfigError
from lgan.networks.roles import ImageShape, require_side

Eights = Annotated[int, Ge(8), MultipleOf(8)]


class Classifier(nn.Module):
    """Base: a body that ends in features (B, feature_dim), and a linear head on top."""

    def __init__(self, body: nn.Module, feature_dim: int, num_classes: int) -> None:
        super().__init__()
        self.feature_dim, self.num_classes = feature_dim, num_classes
        self.body = body
        self.head = nn.Linear(feature_dim, num_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def features(self, x: Tensor) -> Tensor:
        """Return features (B, feature_dim) of images x (B, C, H, W) in [-1, 1]."""
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes) of images x (B, C, H, W) in [-1, 1]."""
        return self.head(self.features(x))


class SmallCNN(Classifier):
    """A quick convolutional classifier for grey or colour images of 8 pixels a side or more.

    3x3 convolutions with group norm, of 1, 2, 4, 4 ... times `width` channels, halve the side until
    it is 4 or less; images larger than 64 pixels a side are averaged over squares first. The fewer
    features (`feature_dim`), the fewer samples a Fréchet distance needs.
    """

    def __init__(
        self, image_shape: ImageShape, num_classes: int, width: Eights = 32, feature_dim: Count = 64
    ) -> None:
        channels, height, breadth = image_shape
        square = math.ceil(max(height, breadth) / 64)
        layers: list[nn.Module] = [nn.AvgPool2d(square, ceil_mode=True)] if square > 1 else []
        height, breadth = math.ceil(height / square), math.ceil(breadth / square)
        if min(height, breadth) < 8:
            raise ConfigError(
                "SmallCNN takes images of 8 pixels a side or more, of which the longer is at most "
                f"eight times the shorter, not {image_shape[1]}x{image_shape[2]}; choose another "
                "evaluation.classifier, or method.solver, or resize the data."
            )
        outputs = width
        while max(height, breadth) > 4:
            layers += _normed_convolution(channels, outputs)
            channels, outputs = outputs, min(2 * outputs, 4 * width)
            height, breadth = math.ceil(height / 2), math.ceil(breadth / 2)
        layers += [*_normed_convolution(channels, outputs)[:-1], nn.Flatten()]
        layers += [nn.Linear(outputs * height * breadth, feature_dim), nn.ReLU()]
        super().__init__(nn.Sequential(*layers), feature_dim, num_classes)


class MerganMLP(Classifier):
    """MeRGAN's for MNIST, 1,739,914 parameters; its code feeds pixels in 0..255, not [-1, 1]."""

    def __init__(self, image_shape: ImageShape, num_classes: int) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise((math.prod(image_shape), 1024, 512, 256, 128)):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        super().__init__(nn.Sequential(*layers), 128, num_classes)


class MLP(Classifier):
    """RWalk's for MNIST, two hidden layers: 330,762 numbers for grey 32x32 images.

    As its author's script it sees pixels in [0, 1], so that no weight learns from black ones, and
    starts with weights of deviation 0.1 (none beyond 0.2) and biases of 0.1.
    """

    def __init__(self, image_shape: ImageShape, num_classes: int, width: Count = 256) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise((math.prod(image_shape), width, width)):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        super().__init__(nn.Sequential(*layers), width, num_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.1, a=-0.2, b=0.2)
                nn.init.constant_(layer.bias, 0.1)

    def features(self, x: Tensor) -> Tensor:
        """Return features (B, width) of images x (B, C, H, W) in [-1, 1]."""
        return super().features((x + 1) / 2)


class MerganVGGSmall(Classifier):
    """MeRGAN's for SVHN, 1,550,634 parameters; its code feeds BGR in 0..255 less a mean colour."""

    def __init__(self, image_shape: ImageShape, num_classes: int) -> None:
        require_side(image_shape, 32, "MerganVGGSmall")
        layers: list[nn.Module] = []
        inputs = image_shape[0]
        for outputs, depth in ((32, 2), (64, 2), (128, 3)):
            for _ in range(depth):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        layers += [nn.Flatten(), nn.Linear(inputs * 4 * 4, 512), nn.ReLU()]
        layers += [nn.Linear(512, 128), nn.ReLU()]
        super().__init__(nn.Sequential(*layers), 128, num_classes)


def _normed_convolution(inputs: int, outputs: int) -> list[nn.Module]:
    normed = [nn.Conv2d(inputs, outputs, 3, padding=1), nn.GroupNorm(8, outputs)]
    return [*normed, nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
