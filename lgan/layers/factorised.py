"""A generator whose layers have filter banks (Piggyback GAN), and what its tasks add."""

from __future__ import annotations

from typing import Any

from torch import nn

from lgan.layers.filter_bank import BankSettings, FilterBankLayer
from lgan.layers.per_task import LifelongGenerator, LifelongLayer, Linear


class FactorisedTranslator(LifelongGenerator):
    """A plain generator whose layers, but for the last ones, get banks of filters.

    Norms and last layers every task has its own of. With `init="warm"` and `start="first"` a later
    task's network equals the first task's bit for bit before its first step.

    Args:
        network: a plain translator or label-conditioned generator; it is converted in place.
        settings: lambda, initialisation, and what is factorised.
        seed: of the new tensors of later tasks.
    """

    def __init__(self, network: nn.Module, settings: BankSettings, seed: int = 0) -> None:
        self.settings = settings
        super().__init__(network, settings.start, seed)

    def convert_layer(self, layer: Linear) -> LifelongLayer:
        """Return the layer with a bank."""
        return FilterBankLayer(layer, self.settings)

    def banks(self) -> dict[str, FilterBankLayer]:
        """Return the layers that have banks, by dotted name."""
        named = self.network.named_modules()
        return {name: layer for name, layer in named if isinstance(layer, FilterBankLayer)}

    def structure(self) -> dict[str, Any]:
        """Return classes, finished tasks, and unconstrained filters by layer and task."""
        layers = {name: layer.structure() for name, layer in self.banks().items()}
        return super().structure() | {"layers": layers}
