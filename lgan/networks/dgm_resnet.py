"""DGM's networks for small natural images: a ResNet that can grow, and a ResNet-18 against it.

Source: Ostapenko et al. 2019 and the official code for ImageNet-50 at 32x32 (papers/dgm.md 1c).
"""

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchvision.models.resnet import BasicBlock, ResNet

from lgan.arguments import Count
from lgan.errors import ConfigError
from lgan.networks.chain import Chain, Link
from lgan.networks.dgm import Init, Labels, doublings, goes_beside, init_weights, label_noise
from lgan.networks.heads import HeadPer, head
from lgan.networks.roles import ClassDiscriminator, ImageShape

BASE_SIDE = 4


class DGMUpBlock(nn.Module):
    """Pre-activation residual block that doubles the side; no layer has a bias.

    The shortcut's 1x1 convolution acts while features differ in width: layers may be swapped.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(inputs)
        self.conv2 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.identity = nn.Identity()  # masks act on it by its name

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, inputs, H, W) to (B, outputs, 2H, 2W)."""
        main = F.interpolate(torch.relu(self.norm1(x)), scale_factor=2.0)
        main = self.conv2(torch.relu(self.norm2(self.conv1(main))))
        carry = self.identity if x.shape[1] == main.shape[1] else self.shortcut
        # A 1x1 convolution and nearest upsampling commute: this order costs a quarter.
        return F.interpolate(carry(x), scale_factor=2.0) + main


class DGMResNetGenerator(nn.Module):
    """Class and noise to images by residual blocks.

    364,544 weights at width 64 (of every block) for 32x32 images, without norms and head (577 * C);
    352,256 of them act while all blocks are equally wide. The one-hot class is `label_length` long
    (None: `num_classes`) and goes where `labels` says (`lgan.networks.dgm.goes_beside`); the code
    has 100 for 50 classes, which overwrites all but 28 of 128 noise entries.
    """

    classes_first: ClassVar = ("project.weight",)  # `lgan.networks.growth`

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        width: Count = 64,
        z_dim: Count = 128,
        label_length: Count | None = None,
        head_per: HeadPer = "class",
        init: Init = "xavier",
        labels: Labels = "overwrite",
    ) -> None:
        super().__init__()
        count = doublings(image_shape, BASE_SIDE)
        self.z_dim, self.num_classes = z_dim, num_classes
        self.label_length = num_classes if label_length is None else label_length
        if self.label_length < num_classes:
            raise ConfigError(
                f"network.generator.label_length={self.label_length} must be at least the number "
                f"of classes, {num_classes}."
            )
        self.beside = goes_beside(labels, self.label_length, z_dim)
        inputs = z_dim + self.label_length * self.beside
        self.project = nn.Linear(inputs, BASE_SIDE**2 * width, bias=False)
        self.blocks = nn.ModuleList(DGMUpBlock(width, width) for _ in range(count))
        self.norm = nn.BatchNorm2d(width)
        for link in self.chain().links:
            init_weights(self.get_submodule(link.layer).weight, init)  # type: ignore[arg-type]
        last = partial(nn.Conv2d, kernel_size=3, padding=1)
        self.head = head(last, width, image_shape[0], num_classes, head_per)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1] from noise z (B, z_dim) and classes y (B,)."""
        x = self.project(label_noise(z, y, self.label_length, self.beside))
        x = x.unflatten(1, (-1, BASE_SIDE, BASE_SIDE))
        for block in self.blocks:
            x = block(x)
        return torch.tanh(self.head(torch.relu(self.norm(x)), y))

    def chain(self) -> Chain:
        """Return the layers that can be masked and widened."""
        links = [Link("project", None, "stem", per_unit=BASE_SIDE**2)]
        norms, identities, inputs = dict[str, str](), dict[str, str](), "stem"
        for index in range(len(self.blocks)):
            block, hidden, outputs = f"blocks.{index}", f"h{index}", f"x{index}"
            links += [
                Link(f"{block}.conv1", inputs, hidden),
                Link(f"{block}.conv2", hidden, outputs),
                Link(f"{block}.shortcut", inputs, outputs),
            ]
            norms |= {f"{block}.norm1": inputs, f"{block}.norm2": hidden}
            identities[f"{block}.identity"] = inputs
            inputs = outputs
        return Chain(tuple(links), norms | {"norm": inputs}, "head", inputs, identities)


class DGMResNetDiscriminator(ClassDiscriminator):
    """Images to a score and class logits by a ResNet-18 with a 3x3 stem and no pooling behind it.

    12,246,081 parameters (colour, ten logits). The code has `aux_bias` from the second task on.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        features: Count = 2048,
        aux_bias: bool = False,
    ) -> None:
        # The average over all places of the last maps is the code's 4x4 one at 32x32.
        resnet = ResNet(BasicBlock, [2, 2, 2, 2], num_classes=features)
        resnet.conv1 = nn.Conv2d(image_shape[0], 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(resnet.conv1.weight, mode="fan_out", nonlinearity="relu")
        resnet.maxpool = nn.Identity()  # type: ignore[assignment]
        trunk = nn.Sequential(resnet, nn.BatchNorm1d(features, momentum=0.01), nn.ReLU())
        super().__init__(trunk, features, num_classes, aux_bias)
