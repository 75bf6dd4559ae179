"""The last layer of a generator, by task or by class."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Convolution = nn.Conv2d | nn.ConvTranspose2d
HeadPer = Literal["task", "class"]


def resized(layer: Convolution, inputs: int, outputs: int) -> Convolution:
    """Return a fresh layer of the same kind with other numbers of channels, torch's own init."""
    same = {key: getattr(layer, key) for key in ("kernel_size", "stride", "padding")}
    return type(layer)(inputs, outputs, bias=layer.bias is not None, **same)


class SharedHead(nn.Module):
    """One convolution for all classes, from features to images."""

    def __init__(self, convolution: Convolution) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return images before the tanh from features x (B, inputs, H, W) of classes y (B,)."""
        return self.convolution(x)

    def fresh(self, inputs: int, classes: Sequence[int]) -> "SharedHead":
        """Return a newly initialised head for `inputs` channels."""
        return SharedHead(resized(self.convolution, inputs, self.convolution.out_channels))


class ClassHead(nn.Module):
    """One convolution for all `classes` (ids below `num_classes`); each image takes its class's."""

    position: Tensor

    def __init__(self, convolution: Convolution, classes: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.convolution, self.channels = convolution, convolution.out_channels // len(classes)
        position = torch.full((num_classes,), -1)
        position[list(classes)] = torch.arange(len(classes))
        self.register_buffer("position", position)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return images before the tanh from features x (B, inputs, H, W) of classes y (B,)."""
        every = self.convolution(x).unflatten(1, (-1, self.channels))
        return every[torch.arange(len(y), device=y.device), self.position[y]]

    def fresh(self, inputs: int, classes: Sequence[int]) -> "ClassHead":
        """Return a newly initialised head for `inputs` channels and these classes."""
        convolution = resized(self.convolution, inputs, self.channels * len(classes))
        return ClassHead(convolution, classes, len(self.position))


def head(
    make: Callable[..., Convolution], inputs: int, channels: int, num_classes: int, per: HeadPer
) -> SharedHead | ClassHead:
    """Return a fresh head for images of `channels`, one per task or one per class."""
    last = make(inputs, channels * (num_classes if per == "class" else 1))
    return ClassHead(last, range(num_classes), num_classes) if per == "class" else SharedHead(last)
