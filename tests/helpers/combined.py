"""Methods that are combined from two of lgan's."""

from __future__ import annotations

from lgan.methods.dgr import DGR
from lgan.methods.ewc import EWCGAN
from lgan.methods.mergan import MeRGANJTR, MeRGANRA


class Both(EWCGAN, MeRGANRA):
    """An anchor on weights, and alignment of replays."""


class AnchoredReplay(MeRGANJTR, EWCGAN):
    """Joint training with replay, and an anchor on weights."""


class AnchoredScholar(EWCGAN, DGR):
    """An unconditional generator with a solver, and an anchor on its weights."""
