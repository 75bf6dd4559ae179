"""A bounded memory of real training pictures (exemplars) for methods that declare one."""

from itertools import accumulate

import torch
from torch import Tensor

from lgan.data.images import Images, TensorImages, placed
from lgan.errors import ConfigError
from lgan.seeding import Noise, mix


class ExemplarMemory:
    """Random real pictures of past classes, within one stated bound.

    Exactly one bound is given: pictures `per_class`, in `total`, shared evenly over the classes
    held, or the `ratio` in (0, 1] of each class's training pictures. Which are kept is a function
    of (seed, class), and a smaller share is a prefix of a larger one.
    """

    def __init__(
        self,
        per_class: int | None = None,
        total: int | None = None,
        ratio: float | None = None,
        seed: int = 0,
    ) -> None:
        bounds = {"per_class": per_class, "total": total, "ratio": ratio}
        given = {key: value for key, value in bounds.items() if value is not None}
        if len(given) != 1:
            raise ConfigError(f"memory needs exactly one of per_class, total, ratio; got {given}.")
        [(key, bound)] = given.items()
        if bound <= 0 or (key == "ratio" and bound > 1):
            right = "in (0, 1]" if key == "ratio" else "a positive number of pictures"
            raise ConfigError(f"memory.{key}={bound} must be {right}.")
        self.per_class, self.total, self.ratio, self.seed = per_class, total, ratio, seed
        self._kept: dict[int, Tensor] = {}
        self._all: TensorImages | None = None

    def __len__(self) -> int:
        return sum(self.counts.values())

    @property
    def counts(self) -> dict[int, int]:
        """Pictures held of each class, in the order the classes came."""
        return {label: len(kept) for label, kept in self._kept.items()}

    @property
    def bytes(self) -> int:
        """Memory that the pictures take, labels not counted."""
        return sum(kept.nelement() for kept in self._kept.values())

    def add(self, images: Images, labels: Tensor | None = None) -> None:
        """Choose exemplars of each class in `images`, by `labels` ``(N,)`` or their own."""
        self._all = None
        labels = images.labels if labels is None else labels
        new = labels.unique().tolist()
        classes = len({*self._kept, *new})
        if self.total is not None and self.total < classes:
            raise ConfigError(
                f"memory.total={self.total} must be at least {classes}, the number of classes."
            )
        for label in new:
            rows = (labels == label).nonzero().flatten()
            generator = torch.Generator().manual_seed(mix(self.seed, "memory", label))
            order = torch.randperm(len(rows), generator=generator)
            # Of the three bounds exactly one is given.
            count = self.per_class or self.total or max(1, round((self.ratio or 1) * len(rows)))
            self._kept[label] = images.take(rows[order[:count]]).cpu()
        if self.total is not None:
            room = self.total // len(self._kept)
            self._kept = {label: kept[:room].clone() for label, kept in self._kept.items()}

    def draw_of(self, labels: Tensor, noise: Noise) -> Tensor:
        """Draw an exemplar of each class in `labels` (B,), with replacement, where the noise is."""
        wanted, counts = labels.tolist(), self.counts
        if missing := set(wanted) - set(counts):
            raise ValueError(f"the memory holds no pictures of the classes {sorted(missing)}")
        starts = dict(zip(counts, accumulate([0, *counts.values()]), strict=False))
        start = placed(tuple(starts[label] for label in wanted), noise.device)
        count = placed(tuple(counts[label] for label in wanted), noise.device)
        # 2^31 divided by a class's few thousand pictures: the bias of the remainder is nothing.
        rows = noise.integers(2**31 - 1, len(labels)) % count
        return self.images(noise.device).take(start + rows)

    def images(self, device: torch.device | str = "cpu") -> TensorImages:
        """Return all exemplars, class after class, on a device where they then stay."""
        if not self._kept:
            raise ValueError("the memory is empty: add a finished task's pictures first")
        if self._all is None:
            labels = [torch.full((count,), label) for label, count in self.counts.items()]
            self._all = TensorImages(torch.cat([*self._kept.values()]), torch.cat(labels))
        self._all = self._all.to(device)
        return self._all

    def state_dict(self) -> dict[str, Tensor]:
        """Return the exemplars as ``{"<class id>": uint8 (n, C, H, W)}``."""
        return {str(label): kept for label, kept in self._kept.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Hold exactly the exemplars of a saved state."""
        self._kept = {int(label): kept for label, kept in state.items()}
        self._all = None
