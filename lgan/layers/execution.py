"""How a layer of piggyback filters is computed: compose the filters, or mix the bank's maps.

Both give the same (papers/piggyback_gan.md, 1.2): conv(x, bank W) = conv1x1(conv(x, bank), W^T).
Composing costs the same whatever the input; mixing costs by positions, and the bank needs no
gradient: a U-Net's inner layers mix and its outer ones compose. The bank's maps are convolutions,
or matrix products (`lgan.layers.products`).
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lgan.errors import ConfigError
from lgan.layers.per_task import Linear

Apply = Callable[[Tensor, Tensor, Tensor | None], Tensor]
Mode = Literal["auto", "compose", "mix", "multiply"]


@dataclass(frozen=True)
class Kernel:
    """What a plain layer computes, free of its tensors; a dataclass hides `plain` from modules."""

    apply: Apply  # (x, weight, bias) -> y, as the plain layer
    mix: Apply  # (maps, W^T, bias) -> maps of other channels, position by position
    filter_axis: int  # of the weight
    channel_axis: int  # of input and output
    weight: torch.Size
    plain: Linear  # without weight and bias

    def positions(self, shape: torch.Size) -> tuple[int, int]:
        """Return how many positions of x a filter is applied at, and how many the output has."""
        x = torch.empty(shape, device="meta")
        y = self.apply(x, torch.empty(self.weight, device="meta"), None)
        read, made = (t.numel() // t.shape[self.channel_axis] for t in (x, y))
        return (read if self.filter_axis else made), made  # a transposed convolution's axis is 1

    def layer(self, weight: Tensor, bias: Tensor | None) -> Linear:
        """Return a plain layer with copies of these tensors, which take no gradient."""
        layer = copy.copy(self.plain)
        layer._parameters = {
            name: None if t is None else nn.Parameter(t.detach().clone(), requires_grad=False)
            for name, t in (("weight", weight), ("bias", bias))
        }
        return layer


@dataclass(frozen=True)
class Work:
    """Sizes that the costs depend on."""

    bank: int  # filters in the bank, B
    piggyback: int  # filters that are mixed, np
    unconstrained: int  # filters that are free, nu
    per_filter: int  # weights per filter, kh * kw * Ci
    positions: int  # where a filter is applied: outputs of a convolution, else inputs (transposed)
    outputs: int  # positions of the output
    taps: int = 1  # products per filter and position that are mixed if bank's maps are multiplied

    def compose(self, weights: bool, inputs: bool) -> int:
        """Return the multiplications when filters are composed, by the gradients wanted."""
        composing = self.bank * self.piggyback * self.per_filter
        filters = self.piggyback + self.unconstrained
        convolving = self.positions * self.per_filter * filters
        return (1 + weights) * composing + (1 + weights + inputs) * convolving

    def mix(self, weights: bool, inputs: bool, multiply: bool = False) -> int:
        """Return the multiplications when the bank's maps are mixed; arguments as above."""
        one = self.positions * self.per_filter
        places = self.positions * self.taps if multiply else self.outputs
        mixing = places * self.bank * self.piggyback
        bank, free = one * self.bank, one * self.unconstrained
        # The maps' own gradient is there only to be handed on to the input.
        return (1 + inputs) * (bank + mixing) + weights * mixing + (1 + weights + inputs) * free


class Execution:
    """Chooses, for each shape once, what costs fewer multiplications: "auto" composes or mixes.

    On a CPU it takes the maps that it mixes as matrix products, as "multiply" does everywhere.
    """

    def __init__(self, mode: Mode = "auto") -> None:
        self.mode = mode
        self._chosen: dict[tuple[object, ...], str] = {}

    def choose(self, x: Tensor, work: Callable[[torch.Size], Work]) -> str:
        """Return "compose", "mix" or "multiply" for an input; `work` is asked once per shape."""
        if self.mode in ("compose", "mix"):
            return self.mode
        weights = torch.is_grad_enabled()
        inputs = weights and x.requires_grad
        key = (x.shape, weights, inputs)
        if key not in self._chosen:
            size = work(x.shape)
            multiply = self.mode == "multiply" or x.device.type == "cpu"
            mixes = size.mix(weights, inputs, multiply) < size.compose(weights, inputs)
            mix = "multiply" if multiply else "mix"
            self._chosen[key] = mix if mixes else "compose"
        return self._chosen[key]


def kernel_of(layer: nn.Module) -> Kernel:
    """Return what a plain layer computes."""
    if not isinstance(layer, Linear):
        raise ConfigError(
            f"network: a {type(layer).__name__} has no filters; only Linear, Conv2d and "
            "ConvTranspose2d can be converted."
        )
    plain = copy.copy(layer)
    plain._parameters = {"weight": None, "bias": None}
    if isinstance(layer, nn.Linear):
        return Kernel(F.linear, F.linear, 0, -1, layer.weight.shape, plain)
    if layer.groups != 1 or layer.padding_mode != "zeros" or "weight" not in layer._parameters:
        raise ConfigError(
            f"network: a converted {type(layer).__name__} must have groups=1, "
            "padding_mode='zeros' and no parametrisation of its weight."
        )
    transposed = isinstance(layer, nn.ConvTranspose2d)
    keys = ["stride", "padding", "dilation", *["output_padding"] * transposed]
    settings = {key: getattr(layer, key) for key in keys}
    apply = partial(F.conv_transpose2d if transposed else F.conv2d, **settings)
    return Kernel(apply, _mix_maps, int(transposed), -3, layer.weight.shape, plain)


def _mix_maps(maps: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.conv2d(maps, weight[..., None, None], bias)
