"""Cutting a data set: stratified hold-out and limits per class, fixed by a seed."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lgan.seeding import mix


def hold_out(
    labels: Tensor, fraction: float, seed: int, names: Sequence[str] = (), least: int = 1
) -> tuple[Tensor, Tensor]:
    """Return the ascending indices that are kept, and those of a share of every class held out.

    A fraction above 0 sets at least one picture of each class aside, and at least `least` stay.
    With the classes' `names`, which of them does not depend on what other classes there are.
    """
    random = np.random.RandomState(seed)  # its stream is frozen: the same with every version
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().tolist():
        if names:
            random = np.random.RandomState(mix(seed, "hold out", names[label]) % 2**32)
        rows = (labels == label).nonzero().flatten().numpy()
        count = min(max(round(fraction * len(rows)), int(fraction > 0)), max(len(rows) - least, 0))
        held[random.permutation(rows)[:count]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def limit_per_class(labels: Tensor, limit: int | None) -> Tensor:
    """Return the ascending indices of the first `limit` pictures of each class; None is all."""
    if limit is None:
        return torch.arange(len(labels))
    rows = [(labels == label).nonzero().flatten()[:limit] for label in labels.unique().tolist()]
    return torch.cat(rows).sort().values if rows else torch.arange(0)
