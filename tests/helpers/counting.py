"""Counting parameters."""

from __future__ import annotations

from torch import nn


def count_parameters(module: nn.Module) -> int:
    """Return the number of scalars in a module's parameters; shared ones count once."""
    return sum(p.numel() for p in module.parameters())
