"""Piggyback GAN and its rivals on the same networks (Zhai et al., ECCV 2020, arXiv 2104.11939).

Formulas and what the paper leaves open: papers/piggyback_gan.md, sections 1 and 5.
"""

from typing import Any

from torch import nn

from lgan.layers.binary_mask import BinaryMaskSettings, MaskedTranslator
from lgan.layers.filter_bank import BankSettings, FactorisedTranslator
from lgan.layers.generator import TaskGenerator
from lgan.layers.lateral import ProgressiveTranslator
from lgan.layers.per_task import SharedTrunk
from lgan.methods.converted import ConvertedGenerator


class PiggybackGAN(ConvertedGenerator):
    """Later filters are mixed from a bank, but for a free share (Eq. 5; of 0: PF, Eq. 1)."""

    def __init__(self, *, bank: BankSettings, **kwargs: Any) -> None:  # noqa: ANN401
        self._settings = bank
        super().__init__(**kwargs)

    def convert(self, network: nn.Module) -> TaskGenerator:
        """Return the generator with filter banks."""
        return FactorisedTranslator(network, self._settings, self.seed)


class PiggybackMask(ConvertedGenerator):
    """Binary masks over the first task's frozen weights (Mallya et al. 2018)."""

    def __init__(self, *, masks: BinaryMaskSettings, **kwargs: Any) -> None:  # noqa: ANN401
        self._settings = masks
        super().__init__(**kwargs)

    def convert(self, network: nn.Module) -> TaskGenerator:
        """Return the generator under masks."""
        return MaskedTranslator(network, self._settings, self.seed)


class ProgressiveNets(ConvertedGenerator):
    """A column for each task that also reads the older columns' activations (Rusu et al. 2016)."""

    def convert(self, network: nn.Module) -> TaskGenerator:
        """Return the generator as the first column."""
        return ProgressiveTranslator(network, self.networks.build_generator)


class SFTWithHeads(ConvertedGenerator):
    """Sequential fine-tuning that keeps each task's last layers, as the paper's baseline does."""

    def convert(self, network: nn.Module) -> TaskGenerator:
        """Return the generator with last layers for each task."""
        return SharedTrunk(network, "previous", self.seed)
