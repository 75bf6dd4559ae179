"""Masks over the frozen network of the first task (Mallya et al. 2018, "Piggyback").

Not Piggyback GAN, but its rival of the same name (papers/piggyback_gan.md, section 5). Task 1
trains an ordinary network. A later task learns a real number m per weight; it computes with
w * 1[m > tau], and the gradient passes the threshold straight through: dL/dm = dL/dW * w.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from lgan.arguments import Number, Weight
from lgan.layers.execution import kernel_of
from lgan.layers.masks import pack_bits, unpack_bits
from lgan.layers.per_task import LifelongGenerator, LifelongLayer, Linear, PerTask, Start


@dataclass(frozen=True)
class BinaryMaskSettings:
    """How the masks of tasks after the first are learnt; defaults are the published ones."""

    threshold: Weight = 5e-3  # tau; a weight whose m is not above it is off
    value: Number = 1e-2  # m of all weights before training; above tau all start as on
    ternary: bool = False  # m < 0 flips the weight's sign, 0 <= m <= tau switches it off
    scaling: Literal["none", "weight", "layer"] = "none"  # of m's gradient: 1/|w|, 1/mean |w|
    norms: Literal["task", "frozen"] = "task"  # "frozen": the first task's serve all, in eval mode
    start: Start = "first"  # whose norms and last layers a task starts with


def signs(m: Tensor, threshold: float, ternary: bool) -> Tensor:
    """Return what weights are multiplied by: 1 where m > tau, -1 where m < 0 if ternary, else 0."""
    on = (m > threshold).to(m.dtype)
    return on - (m < 0).to(m.dtype) if ternary else on


class StraightThrough(torch.autograd.Function):
    """w * signs(m), with dL/dm = dL/dW * w, scaled as the settings say; w takes no gradient."""

    @staticmethod
    def forward(ctx: Any, m: Tensor, weight: Tensor, settings: BinaryMaskSettings) -> Tensor:  # noqa: ANN401
        """Return the weight under its mask."""
        ctx.save_for_backward(weight)
        ctx.scaling = settings.scaling
        return weight * signs(m, settings.threshold, settings.ternary)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        """Return the gradient of m as if the threshold were the identity."""
        (weight,) = ctx.saved_tensors
        if ctx.scaling == "weight":
            return gradients[0] * weight.sign(), None, None  # w / |w|, and 0 where w is 0
        gradient = gradients[0] * weight
        if ctx.scaling == "layer":
            gradient = gradient / weight.abs().mean()
        return gradient, None, None


class BinaryMaskLayer(LifelongLayer):
    """A linear layer or convolution whose first task's weight later tasks switch on and off.

    The first task's `weight` and `bias` are parameters, and buffers from its end on: the backbone.
    A later task's `mask` is a parameter, and packed bits from its end on: `bits1`, `bits2`, ...
    and, if ternary, `flips1`, ... for the negative ones.
    """

    weight: Tensor
    bias: Tensor | None
    mask: nn.Parameter | None

    def __init__(self, layer: Linear, settings: BinaryMaskSettings) -> None:
        super().__init__()
        self.settings, self.kernel = settings, kernel_of(layer)
        self.register_parameter("weight", cast(nn.Parameter, layer.weight))
        self.register_parameter("bias", cast(nn.Parameter | None, layer.bias))
        self.register_parameter("mask", None)
        self.started, self.finished = 1, 0

    def add_task(self) -> None:
        """Start a task: all m at their first value."""
        self.mask = nn.Parameter(torch.full_like(self.weight, self.settings.value))
        self.started += 1

    def commit(self) -> None:
        """Freeze the backbone after the first task; pack the mask's bits after a later one."""
        if self.mask is None:
            for name in ("weight", "bias"):
                tensor = self._parameters.pop(name)
                self.register_buffer(name, None if tensor is None else tensor.detach().clone())
        else:
            chosen = self.signs_of(self.finished)
            self.register_buffer(f"bits{self.finished}", pack_bits(chosen > 0))
            if self.settings.ternary:
                self.register_buffer(f"flips{self.finished}", pack_bits(chosen < 0))
            self.mask = None
        self.finished = self.started

    def signs_of(self, task: int) -> Tensor:
        """Return what a task multiplies the backbone's weights by: 1, 0, or -1 if ternary."""
        if not task:
            return torch.ones_like(self.weight)
        if task >= self.finished:
            assert self.mask is not None
            return signs(self.mask.detach(), self.settings.threshold, self.settings.ternary)
        shape = tuple(self.weight.shape)
        chosen = unpack_bits(self.get_buffer(f"bits{task}"), shape).to(self.weight.dtype)
        if self.settings.ternary:
            chosen -= unpack_bits(self.get_buffer(f"flips{task}"), shape).to(chosen.dtype)
        return chosen

    def forward(self, x: Tensor) -> Tensor:
        """Compute as the current task, or as the last one if that is finished."""
        if self.mask is not None:
            weight = cast(Tensor, StraightThrough.apply(self.mask, self.weight, self.settings))
        else:
            weight = self.weight if self.started == 1 else self.weight_of(self.started - 1)
        return self.kernel.apply(x, weight, self.bias)

    def weight_of(self, task: int) -> Tensor:
        """Return the plain weight of a task."""
        return self.weight.detach() * self.signs_of(task)

    def bake(self, task: int) -> nn.Module:
        """Return a plain layer with the weight of a task and the backbone's bias."""
        return self.kernel.layer(self.weight_of(task), self.bias)

    def numbers_of(self, task: int) -> dict[str, int]:
        """Return how many numbers a task added: weights and biases, or bits of masks."""
        if task:
            return {"bits": self.weight.numel() * (1 + self.settings.ternary)}
        bias = 0 if self.bias is None else self.bias.numel()
        return {"weight": self.weight.numel(), "bias": bias}


class MaskedTranslator(LifelongGenerator):
    """A plain generator of which later tasks mask the first one's weights."""

    def __init__(self, network: nn.Module, settings: BinaryMaskSettings, seed: int = 0) -> None:
        self.settings = settings
        super().__init__(network, settings.start, seed)

    def convert_layer(self, layer: Linear) -> LifelongLayer:
        """Return the layer under masks."""
        return BinaryMaskLayer(layer, self.settings)

    def convert_other(self, layer: nn.Module) -> LifelongLayer:
        """Return each task's own norm, or the first task's for all."""
        return PerTask(layer, self.start, shared=self.settings.norms == "frozen")

    def new_parameters(self, task: int) -> int:
        """Return how many parameters a task added; 32 bits of a mask count as one."""
        bits = self.numbers_of(task).get("bits", 0)
        return super().new_parameters(task) - bits + math.ceil(bits / 32)
