"""How a layer of piggyback filters is computed: compose the filters, or mix the bank's maps.

Both give the same (papers/piggyback_gan.md, 1.2): conv(x, bank W) = conv1x1(conv(x, bank), W^T).
Composing costs the same whatever the input; mixing costs as much as there are positions, and the
bank needs no gradient. So a U-Net's inner layers mix and its outer ones compose.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, singledispatch
from typing import Literal, TypeVar, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lgan.errors import ConfigError
from lgan.layers.per_task import Linear

Apply = Callable[[Tensor, Tensor, Tensor | None], Tensor]
L = TypeVar("L", bound=nn.Module)
Pair = tuple[int, int]
Mode = Literal["auto", "compose", "mix"]


@dataclass(frozen=True)
class Kernel:
    """What a plain layer computes, free of its tensors.

    Args:
        apply: (x, weight, bias) -> y, as the plain layer.
        mix: (maps, W^T, bias) -> maps of other channels, position by position.
        filter_axis: axis of the weight that runs over filters.
        channel_axis: axis of the output that runs over channels.
        positions: shape of x -> how many positions a filter is applied at, and of the output.
    """

    apply: Apply
    mix: Apply
    filter_axis: int
    channel_axis: int
    positions: Callable[[torch.Size], tuple[int, int]]


@dataclass(frozen=True)
class Work:
    """Sizes that the costs depend on.

    Args:
        bank: filters in the bank, B.
        piggyback: filters that are mixed, np.
        unconstrained: filters that are free, nu.
        per_filter: weights per filter, kh * kw * Ci.
        positions: where a filter is applied: outputs of a convolution, inputs of a transposed one.
        outputs: positions of the output.
    """

    bank: int
    piggyback: int
    unconstrained: int
    per_filter: int
    positions: int
    outputs: int

    def compose(self, weights: bool, inputs: bool) -> int:
        """Return the multiplications when filters are composed.

        It depends on whether the weights' and the input's gradients are wanted.
        """
        composing = self.bank * self.piggyback * self.per_filter
        filters = self.piggyback + self.unconstrained
        convolving = self.positions * self.per_filter * filters
        return (1 + weights) * composing + (1 + weights + inputs) * convolving

    def mix(self, weights: bool, inputs: bool) -> int:
        """Return the multiplications when the bank's maps are mixed; arguments as above."""
        one = self.positions * self.per_filter
        mixing = self.outputs * self.bank * self.piggyback
        bank, free = one * self.bank, one * self.unconstrained
        # The maps' own gradient is there only to be handed on to the input.
        return (1 + inputs) * (bank + mixing) + weights * mixing + (1 + weights + inputs) * free


class Execution:
    """Chooses how a layer is computed; remembers the choice for each shape of the input.

    Args:
        mode: "compose", "mix", or "auto" for the one with fewer multiplications.
    """

    def __init__(self, mode: Mode = "auto") -> None:
        self.mode = mode
        self._chosen: dict[tuple[object, ...], str] = {}

    def choose(self, x: Tensor, work: Callable[[torch.Size], Work]) -> str:
        """Return "compose" or "mix" for an input x; `work` is asked once per shape."""
        if self.mode != "auto":
            return self.mode
        weights = torch.is_grad_enabled()
        inputs = weights and x.requires_grad
        key = (x.shape, weights, inputs)
        if key not in self._chosen:
            size = work(x.shape)
            mixes = size.mix(weights, inputs) < size.compose(weights, inputs)
            self._chosen[key] = "mix" if mixes else "compose"
        return self._chosen[key]

    def forget(self) -> None:
        """Drop the choices made: the layer's sizes have changed."""
        self._chosen.clear()


@singledispatch
def kernel_of(layer: nn.Module) -> Kernel:
    """Return what a plain layer computes."""
    raise ConfigError(
        f"network: a {type(layer).__name__} has no filters; only Linear, Conv2d and "
        "ConvTranspose2d can be converted."
    )


@kernel_of.register
def _(layer: nn.Linear) -> Kernel:
    return Kernel(F.linear, F.linear, 0, -1, _rows)


@kernel_of.register
def _(layer: nn.Conv2d) -> Kernel:
    _require_plain(layer)
    apply = partial(F.conv2d, stride=layer.stride, padding=layer.padding, dilation=layer.dilation)
    return Kernel(apply, _mix_maps, 0, -3, partial(_convolved, without_tensors(layer)))


@kernel_of.register
def _(layer: nn.ConvTranspose2d) -> Kernel:
    _require_plain(layer)
    apply = partial(
        F.conv_transpose2d,
        stride=layer.stride,  # type: ignore[arg-type]
        padding=layer.padding,  # type: ignore[arg-type]
        output_padding=layer.output_padding,  # type: ignore[arg-type]
        dilation=layer.dilation,  # type: ignore[arg-type]
    )
    return Kernel(apply, _mix_maps, 1, -3, partial(_deconvolved, without_tensors(layer)))


def without_tensors(layer: L) -> L:
    """Return a shallow copy of a plain layer whose weight and bias are None."""
    bare = copy.copy(layer)
    bare._parameters = {"weight": None, "bias": None}
    return bare


def with_tensors(bare: Linear, weight: Tensor, bias: Tensor | None) -> Linear:
    """Return a plain layer with these tensors, which take no gradient."""
    layer = copy.copy(bare)
    layer._parameters = {
        "weight": nn.Parameter(weight.detach().clone(), requires_grad=False),
        "bias": None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False),
    }
    return layer


def _require_plain(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    if layer.groups != 1 or layer.padding_mode != "zeros" or "weight" not in layer._parameters:
        raise ConfigError(
            f"network: a converted {type(layer).__name__} must have groups=1, "
            "padding_mode='zeros' and no parametrisation of its weight."
        )


def _mix_maps(maps: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.conv2d(maps, weight[..., None, None], bias)


def _rows(shape: torch.Size) -> tuple[int, int]:
    rows = math.prod(shape[:-1])
    return rows, rows


def _convolved(layer: nn.Conv2d, shape: torch.Size) -> tuple[int, int]:
    reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if isinstance(layer.padding, str):
        padded = reach if layer.padding == "same" else [0, 0]
    else:
        padded = [2 * p for p in layer.padding]
    sides = [
        (n + p - r - 1) // s + 1
        for n, p, r, s in zip(shape[-2:], padded, reach, layer.stride, strict=True)
    ]
    positions = math.prod(shape[:-3]) * math.prod(sides)
    return positions, positions


def _deconvolved(layer: nn.ConvTranspose2d, shape: torch.Size) -> tuple[int, int]:
    reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    padding = cast(Pair, layer.padding)
    sizes = zip(shape[-2:], layer.stride, padding, reach, layer.output_padding, strict=True)
    sides = [(n - 1) * s - 2 * p + r + o + 1 for n, s, p, r, o in sizes]
    batch = math.prod(shape[:-3])
    return batch * math.prod(shape[-2:]), batch * math.prod(sides)
