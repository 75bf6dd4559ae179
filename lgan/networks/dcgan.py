"""MeRGAN's networks for digits: a three-layer DCGAN on 32x32 images, with class batch norm.

Source: Wu et al. 2018, section 4.1, and the code (`gan32_model.py`), whose weights do not fit: its
padding is TensorFlow's "SAME". Numbers of parameters are at width 32 with ten classes.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from lgan.arguments import Count
from lgan.networks.init import initialised
from lgan.networks.norm import ClassBatchNorm2d, Statistics
from lgan.networks.roles import ClassDiscriminator, ImageShape, require_side

SIDE = 32
LEAK = 0.2


class Mergan32Generator(nn.Module):
    """Noise to 32x32 images; the class enters through the scales and offsets of the norms only.

    525,569 parameters for grey images, 527,171 for colour; the last hidden layer has `width` maps.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        width: Count = 32,
        z_dim: Count = 128,
        statistics: Statistics = "class",
    ) -> None:
        super().__init__()
        require_side(image_shape, SIDE, "mergan32")
        self.z_dim, self.num_classes = z_dim, num_classes
        widths = (4 * width, 2 * width, width)
        self.project = initialised(nn.Linear(z_dim, widths[0] * 4 * 4), gain=1.0)
        self.norms = nn.ModuleList(
            ClassBatchNorm2d(w, num_classes, statistics=statistics) for w in widths
        )
        self.deconvolutions = nn.ModuleList(
            initialised(nn.ConvTranspose2d(i, o, 5, stride=2, padding=2, output_padding=1))
            for i, o in pairwise((*widths, image_shape[0]))
        )

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Return images (B, C, 32, 32) in [-1, 1] from noise z (B, z_dim) and classes y (B,)."""
        x = self.project(z).unflatten(1, (-1, 4, 4))
        for norm, deconvolution in zip(self.norms, self.deconvolutions, strict=True):
            x = deconvolution(torch.relu(norm(x, y)))
        return torch.tanh(x)


class Mergan32Discriminator(ClassDiscriminator):
    """No norms, two linear heads; 279,563 parameters for grey images, 281,163 for colour."""

    def __init__(self, image_shape: ImageShape, num_classes: int, width: Count = 32) -> None:
        require_side(image_shape, SIDE, "mergan32")
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((image_shape[0], width, 2 * width, 4 * width)):
            layer = initialised(nn.Conv2d(inputs, outputs, 5, stride=2, padding=2))
            layers += [layer, nn.LeakyReLU(LEAK)]
        trunk = nn.Sequential(*layers, nn.Flatten())
        super().__init__(trunk, 4 * width * 4 * 4, num_classes)
        for head in (self.score, self.classify):
            initialised(head, gain=1.0)
