"""Small fully connected networks for small images, such as scikit-learn's 8x8 digits."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from lgan.arguments import Count
from lgan.networks.roles import ClassDiscriminator, ImageShape


class MLPGenerator(nn.Module):
    """Noise and one-hot class to images; no norms, so an image depends on its own noise only."""

    def __init__(
        self, image_shape: ImageShape, num_classes: int, width: Count = 128, z_dim: Count = 16
    ) -> None:
        super().__init__()
        self.z_dim, self.num_classes, self.image_shape = z_dim, num_classes, tuple(image_shape)
        hidden = [nn.Linear(z_dim + num_classes, width), nn.ReLU(), nn.Linear(width, width)]
        self.body = nn.Sequential(*hidden, nn.ReLU(), nn.Linear(width, math.prod(image_shape)))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1] from noise z (B, z_dim) and classes y (B,)."""
        labelled = torch.cat([z, F.one_hot(y, self.num_classes).to(z)], dim=1)
        return torch.tanh(self.body(labelled)).unflatten(1, self.image_shape)


class MLPDiscriminator(ClassDiscriminator):
    """Images to a score and class logits; two hidden layers of `width`, as the generator has."""

    def __init__(self, image_shape: ImageShape, num_classes: int, width: Count = 128) -> None:
        hidden = [nn.Linear(math.prod(image_shape), width), nn.LeakyReLU(0.2)]
        hidden += [nn.Linear(width, width), nn.LeakyReLU(0.2)]
        super().__init__(nn.Sequential(nn.Flatten(), *hidden), width, num_classes)
