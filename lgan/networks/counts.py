"""Counting parameters."""

from __future__ import annotations

from torch import nn


def count_parameters(module: nn.Module, trainable_only: bool = False) -> int:
    """Return the number of scalars in a module's parameters; shared ones count once.

    Args:
        module: any module; buffers are not counted.
        trainable_only: leave out parameters with `requires_grad=False`.
    """
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable_only)
