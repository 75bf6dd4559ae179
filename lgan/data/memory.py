"""A bounded memory of real training pictures (exemplars), and rankings of which to keep."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from lgan import distributed
from lgan.data.images import Images, TensorImages, placed, to_float
from lgan.errors import ConfigError
from lgan.seeding import Noise, mix

Choice = Literal["random", "herding", "mean_of_features", "entropy", "distance"]
Reading = Literal["paper", "code"]
View = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Pictures (B, C, H, W) in [-1, 1] to features (B, D) and logits (B, classes), -inf if not seen."""
_CODE_STEPS = 1000  # of herding in iCaRL's code on CIFAR-100, for all of a class's exemplars


def ranked(
    choice: Choice, features: Tensor, logits: Tensor, label: int, count: int, reading: Reading
) -> Tensor:
    """Return places (at least `count`,) among the N pictures of a class, the best first.

    "herding" (Rebuffi et al. 2017): the mean of each prefix is near the class's. By Chaudhry et al.
    2018: "entropy": the most uncertain; "distance": with the smallest logit of the class, so the
    nearest to its border or beyond it. Their "mean of features" is, we believe, herding; ours,
    "mean_of_features", is simpler: nearest to the class's mean.
    Features ``(N, D)`` are taken at length 1; logits are ``(N, classes)``.
    """
    if choice == "herding":
        return herded(features, count, reading)
    if choice == "mean_of_features":
        units = F.normalize(features)
        scores = -(units - units.mean(dim=0)).square().sum(dim=1)
    elif choice == "entropy":
        scores = torch.special.entr(logits.softmax(dim=1)).sum(dim=1)
    else:
        scores = -logits[:, label]
    return scores.argsort(descending=True, stable=True)


def herded(features: Tensor, count: int, reading: Reading = "paper") -> Tensor:
    """Return the places (count,) of pictures whose mean, of each prefix, is near that of all.

    The k-th pick brings the mean of k features of length 1 nearest to mu, the mean of all (iCaRL,
    Alg. 4): it has the largest product with k mu less the sum of those picked. "paper" picks from
    those not yet taken. "code" picks from all; a picture that is picked again counts in that sum
    and not in the list, for 1,000 picks (or 1.1 `count`), after which it goes on as "paper".
    """
    units = F.normalize(features)
    mean = units.mean(dim=0)
    wanted, order = mean.clone(), list[int]()
    again = max(_CODE_STEPS, int(1.1 * count)) if reading == "code" else 0
    while len(order) < count:
        scores = units @ wanted
        if again <= 0:
            scores[order] = -torch.inf
        pick = int(scores.argmax())
        if pick not in order:
            order.append(pick)
        wanted += mean - units[pick]
        again -= 1
    return torch.tensor(order)


_BATCH = 500  # pictures that a network sees at once


def looked_at(images: Images, view: View) -> tuple[Tensor, Tensor]:
    """Return features (N, D) and logits (N, classes) of all pictures, on the CPU of every rank."""
    own = distributed.share(torch.arange(len(images)))
    seen = [view(to_float(images.take(part))) for part in own.split(_BATCH)]
    features, logits = zip(*seen, strict=True)
    return _gathered(features), _gathered(logits)


def _gathered(parts: Sequence[Tensor]) -> Tensor:
    return distributed.gather(torch.cat([*parts]).float()).cpu()


class ExemplarMemory:
    """Real pictures of past classes, within one stated bound.

    Exactly one bound is given: pictures `per_class`, in `total`, shared evenly over the classes
    held, or the `ratio` in (0, 1] of each class's training pictures.

    Args:
        seed: random pictures are a function of (seed, class).
        choice: which are kept; of all choices a smaller share is a prefix of a larger one.
        reading: of choice="herding"; see `herded`.
        rounding: of `total` over the number of classes; "ceil" (iCaRL) may exceed the bound, by
            less than one picture per class.
    """

    def __init__(
        self,
        per_class: int | None = None,
        total: int | None = None,
        ratio: float | None = None,
        seed: int = 0,
        choice: Choice = "random",
        reading: Reading = "paper",
        rounding: Literal["floor", "ceil"] = "floor",
    ) -> None:
        bounds = {"per_class": per_class, "total": total, "ratio": ratio}
        given = {key: value for key, value in bounds.items() if value is not None}
        if len(given) != 1:
            raise ConfigError(
                f"a memory needs exactly one of per_class, total, ratio; got {given}."
            )
        [(key, bound)] = given.items()
        if bound <= 0 or (key == "ratio" and bound > 1):
            right = "in (0, 1]" if key == "ratio" else "a positive number of pictures"
            raise ConfigError(f"method.real_{key}={bound} must be {right}.")
        self.per_class, self.total, self.ratio, self.seed = per_class, total, ratio, seed
        self.choice, self.reading, self.rounding = choice, reading, rounding
        self._kept: dict[int, Tensor] = {}
        self._all: TensorImages | None = None

    def __len__(self) -> int:
        return sum(self.counts.values())

    @property
    def counts(self) -> dict[int, int]:
        """Pictures held of each class, in the order the classes came."""
        return {label: len(kept) for label, kept in self._kept.items()}

    @property
    def bound(self) -> str:
        """The bound in a word, such as "K=100"."""
        if self.per_class:
            return f"{self.per_class} per class"
        return f"K={self.total}" if self.total else f"r={self.ratio}"

    def add(self, images: Images, labels: Tensor | None = None, view: View | None = None) -> None:
        """Choose exemplars of each class in `images`, by `labels` ``(N,)`` or their own.

        `view` is how the network sees them; the ranks of a distributed run share the work.
        """
        self._all = None
        labels = images.labels if labels is None else labels
        new = labels.unique().tolist()
        classes = len({*self._kept, *new})
        self.check(classes)
        for label in new:
            rows = (labels == label).nonzero().flatten()
            count = min(len(rows), self._share(len(rows), classes))
            order = self._order(images, rows, label, count, view)
            self._kept[label] = images.take(rows[order[:count]]).cpu()
        if self.total is not None:
            room = self._share(0, classes)
            self._kept = {label: kept[:room].clone() for label, kept in self._kept.items()}

    def check(self, classes: int) -> None:
        """Refuse a bound that leaves no picture for each of so many classes."""
        if self.total is not None and self.total < classes and self.rounding == "floor":
            raise ConfigError(
                f"method.real_total={self.total} must be at least {classes}, the number of classes."
            )

    def _share(self, available: int, classes: int) -> int:
        if self.total is not None:
            up = self.rounding == "ceil"
            return -(-self.total // classes) if up else self.total // classes
        return self.per_class or max(1, round((self.ratio or 1) * available))

    def _order(
        self, images: Images, rows: Tensor, label: int, count: int, view: View | None
    ) -> Tensor:
        """Return places among `rows`, those to keep first."""
        if self.choice == "random":
            generator = torch.Generator().manual_seed(mix(self.seed, "memory", label))
            return torch.randperm(len(rows), generator=generator)
        if view is None:
            raise ValueError(f"choice={self.choice} needs a view of the pictures")
        features, logits = looked_at(images.subset(rows), view)
        return ranked(self.choice, features, logits, label, count, self.reading)

    def draw_of(self, labels: Tensor, noise: Noise) -> Tensor:
        """Draw an exemplar of each class in `labels` (B,), with replacement, where the noise is."""
        wanted, counts = labels.tolist(), self.counts
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
