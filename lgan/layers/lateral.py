"""Columns with lateral connections (Rusu et al. 2016, Progressive Nets), as Piggyback GAN has them.

Every task has a network of its own, a column. The input of each layer but the first becomes
h^k + sum_{j<k} conv1x1(h^j) of the frozen older columns (papers/piggyback_gan.md, section 5); where
a U-Net concatenates, h is what comes after. Laterals start at zero: a new column starts plain.
"""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from lgan.layers.generator import TaskGenerator
from lgan.layers.per_task import LINEAR, Linear, last_layers_of
from lgan.layers.protocol import replace
from lgan.networks.roles import Translator


class Tape(dict[str, list[Tensor]]):
    """What the columns run so far fed into their layers; `torch.export` would copy a plain dict."""


def lateral(layer: Linear) -> nn.Module:
    """Return a map of the layer's inputs onto themselves, all zeros, without a bias."""
    if isinstance(layer, nn.Linear):
        made: nn.Module = nn.Linear(layer.in_features, layer.in_features, bias=False)
    else:
        made = nn.Conv2d(layer.in_channels, layer.in_channels, 1, bias=False)
    nn.init.zeros_(cast(Tensor, made.weight))
    return made.to(layer.weight)


class LateralLayer(nn.Module):
    """A layer that also reads what the layer of this name reads in each of the older columns."""

    def __init__(self, layer: Linear, name: str, older: int, tape: Tape) -> None:
        super().__init__()
        self.layer, self.name, self._tape = layer, name, tape
        self.laterals = nn.ModuleList(lateral(layer) for _ in range(older))

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output for x, to which the older columns' activations are added."""
        heard = self._tape.setdefault(self.name, [])
        older = heard[: len(self.laterals)]
        heard.append(x)
        for made, activation in zip(self.laterals, older, strict=True):
            x = x + made(activation)
        return self.layer(x)


class Columns(nn.Module):
    """The networks of all tasks so far, run one after the other; the last one's output counts."""

    def __init__(self, columns: Sequence[nn.Module], tape: Tape) -> None:
        super().__init__()
        self.columns, self._tape = nn.ModuleList(columns), tape

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the last column's output, (B, C, H, W)."""
        return self.call("forward", *inputs)

    def call(self, name: str, *inputs: Any, **keys: Any) -> Any:  # noqa: ANN401
        """Call each column's part or method of this name in turn; return what the last returns."""
        # No `no_grad` for the frozen columns: in a cycle the input itself may want a gradient.
        self._tape.clear()
        try:
            for column in self.columns:
                output = getattr(column, name)(*inputs, **keys)
        finally:
            self._tape.clear()
        return output

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in ("columns", "_tape") or name.startswith("__"):
                raise
            found = getattr(self.columns[-1], name)  # a part or method is run in all columns
            return partial(self.call, name) if callable(found) else found


class ProgressiveTranslator(TaskGenerator):
    """A column per task, each reading those before it; a later one's is made by `fresh(task)`."""

    def __init__(self, network: nn.Module, fresh: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.fresh = fresh
        self.last_layers = last_layers_of(network)
        tape = Tape()
        self.columns = Columns([self._column(network, 0, tape)], tape)

    @property
    def current(self) -> nn.Module:
        """The current task's column, or the last one."""
        return self.columns.columns[-1]

    def start_task(self, task: int) -> None:
        """Make a new column; the first task's was there before."""
        if task:
            device = next(self.parameters()).device
            column = self._column(self.fresh(task), task, self.columns._tape).to(device)
            self.columns.columns.append(column.train(self.training))

    def commit(self) -> None:
        """Freeze the current task's column, and put it in eval mode."""
        self.current.requires_grad_(False).eval()
        self.committed = len(self.tasks)

    def bake(self, task: int) -> nn.Module:
        """Return the columns up to a task's, in eval mode; they share nothing."""
        columns = Columns(list(self.columns.columns)[: task + 1], self.columns._tape)
        return self.told(copy.deepcopy(columns).requires_grad_(False).eval(), task)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return what the current column makes of the inputs, z and y."""
        return self.columns(*self.in_rows(*inputs))

    def train(self, mode: bool = True) -> Self:
        """Switch the current column; those of finished tasks stay in eval mode."""
        self.training = self.columns.training = mode
        for index, column in enumerate(self.columns.columns):
            column.train(mode and index >= self.committed)
        return self

    def numbers_of(self, task: int) -> dict[str, int]:
        """Return how many numbers a task added: its column's and its laterals' parameters."""
        column = self.columns.columns[task]
        named = [(name, p.numel()) for name, p in column.named_parameters()]
        laterals = sum(n for name, n in named if ".laterals." in name)
        numbers = {"column": sum(n for _, n in named) - laterals, "lateral": laterals}
        statistics = sum(b.numel() for b in column.buffers() if b.is_floating_point())
        return {k: n for k, n in (numbers | {"statistics": statistics}).items() if n}

    @staticmethod
    def _column(network: nn.Module, older: int, tape: Tape) -> nn.Module:
        # Laterals stand before each layer but the first one of the network, or of each half.
        named = [(n, m) for n, m in network.named_modules() if isinstance(m, LINEAR)]
        halves = [n for n, m in network.named_children() if isinstance(m, Translator)]
        first = {next(n for n, _ in named if n.startswith(half)) for half in halves or [""]}
        with torch.random.fork_rng(devices=[]):  # the laterals' own init, overwritten by zeros
            for name, layer in named:
                if name not in first:
                    replace(network, name, LateralLayer(layer, name, older, tape))
        return network
