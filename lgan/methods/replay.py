"""Replays for a classifier: generated, or real from a bounded memory, by class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lgan.data.images import to_float
from lgan.data.memory import ExemplarMemory
from lgan.seeding import Noise

Draw = Callable[[Tensor, Noise], Tensor]


def balanced_labels(classes: Sequence[int], count: int, start: int, device: torch.device) -> Tensor:
    """Return `count` labels (count,) that go round the classes, the next call's from `start` on."""
    places = torch.arange(start, start + count, device=device) % max(1, len(classes))
    return torch.tensor(classes, device=device)[places]


class StoredReplay:
    """A fixed set of images of each class, made once per task by `draw`, `batch` in one call."""

    @torch.no_grad()
    def __init__(
        self, draw: Draw, classes: Sequence[int], per_class: int, noise: Noise, batch: int = 500
    ) -> None:
        parts = []
        for label in classes:
            labels = torch.full((per_class,), label, device=noise.device)
            parts.append(torch.cat([draw(chunk, noise) for chunk in labels.split(batch)]))
        self.images, self.classes = torch.stack(parts), list(classes)

    def __call__(self, labels: Tensor, noise: Noise) -> Tensor:
        """Return an image of the set for each label (B,)."""
        rows = noise.integers(self.images.shape[1], len(labels))
        places = [self.classes.index(label) for label in labels.tolist()]
        return self.images[torch.tensor(places, device=rows.device), rows]


@dataclass
class MixedReplay:
    """Images that `draw` makes, exchanged with probability `share` for real ones of the class."""

    draw: Draw
    memory: ExemplarMemory
    share: float

    def __call__(self, labels: Tensor, noise: Noise) -> Tensor:
        """Return an image (B, C, H, W) for each label (B,)."""
        images = self.draw(labels, noise)
        real = noise.uniform(len(labels)) < self.share
        stored = to_float(self.memory.draw_of(labels, noise).to(images.device))
        return torch.where(real[:, None, None, None], stored, images)
