"""A generator whose layers have filter banks (Piggyback GAN), and what its tasks add."""

from typing import Any

from torch import nn

from lgan.layers.filter_bank import BankSettings, FilterBankLayer
from lgan.layers.per_task import LifelongGenerator, LifelongLayer, Linear


class FactorisedTranslator(LifelongGenerator):
    """A plain generator whose layers, but for the last ones, get banks of filters.

    Norms and last layers every task has its own of. With `init="warm"` and `start="first"` a later
    task's network equals the first task's bit for bit before its first step.
    """

    def __init__(self, network: nn.Module, settings: BankSettings, seed: int = 0) -> None:
        self.settings = settings
        super().__init__(network, settings.start, seed)

    def convert_layer(self, layer: Linear) -> LifelongLayer:
        """Return the layer with a bank."""
        return FilterBankLayer(layer, self.settings)

    def structure(self) -> dict[str, Any]:
        """Return classes, finished tasks, and unconstrained filters by layer and task."""
        named = self.network.named_modules()
        banks = {name: m.structure() for name, m in named if isinstance(m, FilterBankLayer)}
        return super().structure() | {"layers": banks}
