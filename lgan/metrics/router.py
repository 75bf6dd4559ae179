"""Which task is a picture for? A router over the translations so far, by streaming LDA.

As Deep SLDA (Hayes & Kanan 2020, "Lifelong Machine Learning with Deep Streaming Linear Discriminant
Analysis", Eqs. 2 to 4) it keeps statistics only: each task's mean and the tasks' shared covariance
with shrinkage. Its features are no network's but the fixed ones below. Each task's own covariance
is kept too: the shared one, which changes with every task, could not tell later what is unusual.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from lgan import distributed
from lgan.errors import RunError
from lgan.files import save_tensors
from lgan.run.identity import Stamp, load_stamped

FILE = "router.pt"  # in a run's folder
FEATURES = "moments and differences, 1"  # a router of others means nothing with these
SCALES = 4
LARGEST = 256  # pixels of the shorter side from which on pictures are halved first
GRID = 2.0**16  # features are multiples of 1 / GRID: sums of them are exact, in whatever order
CHUNK = 16  # pictures at once
TINY = 1e-12  # stands for the limit of a task whose pictures are all alike


@dataclass(frozen=True)
class Router:
    """Statistics of the features (D) of T tasks' inputs, in float64 on the CPU."""

    shrinkage: float  # share of the identity in each covariance
    means: Tensor = torch.empty(0)  # (T, D)
    covariances: Tensor = torch.empty(0)  # (T, D, D), of each task's own
    counts: Tensor = torch.empty(0)  # (T,) pictures
    limits: Tensor = torch.empty(0)  # (T,) squared distances that a task's own pictures keep within

    def __len__(self) -> int:
        return len(self.means)

    def first(self, tasks: int) -> Self:
        """Return the router over the first tasks, as it was when they were learnt."""
        return type(self)(self.shrinkage, *(part[:tasks] for part in self._parts().values()))

    def learn(self, features: Tensor, quantile: float) -> Self:
        """Return the router with one task more, of features (N, D).

        The limit is the `quantile` of the pictures' squared Mahalanobis distances, each to the mean
        and by the covariance of the others (leave-one-out): its own would take it for too usual.
        """
        mean, count = features.mean(0), len(features)
        covariance = features.T @ features / count - mean.outer(mean)
        limit = torch.tensor(torch.inf, dtype=torch.float64)  # of one picture nobody knows
        if count > 1:
            more = count / (count - 1)
            near = self._white(features - mean, more * covariance).square().sum(1)
            # Sherman and Morrison: the others' covariance is this one but for a rank.
            others = more**2 * near / (1 - (1 - self.shrinkage) * more / (count - 1) * near)
            limit = others.quantile(quantile)
        new = (mean, covariance, torch.tensor(float(count)), limit)
        pairs = zip(self._parts().values(), new, strict=True)
        return type(self)(self.shrinkage, *(torch.cat((old, part[None])) for old, part in pairs))

    def route(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the most likely tasks (B,) of features (B, D), and how far each is from its task.

        The distance is by the task's own covariance, 1 at the task's limit. All tasks are taken for
        equally likely beforehand.
        """
        weights = self.counts / self.counts.sum()
        shared = (weights[:, None, None] * self.covariances).sum(0)
        apart = torch.cdist(self._white(features, shared), self._white(self.means, shared))
        nearest, away = apart.argmin(1), torch.empty(len(features), dtype=torch.float64)
        for task in nearest.unique().tolist():
            mine, limit = nearest == task, self.limits[task].clamp(min=TINY)
            own = self._white(features[mine] - self.means[task], self.covariances[task])
            away[mine] = (own.square().sum(1) / limit).sqrt()
        return nearest, away

    def save(self, path: Path, stamp: Stamp) -> None:
        """Write a run's router."""
        whole = {"stamp": stamp, "features": FEATURES, "shrinkage": self.shrinkage}
        save_tensors(path, whole | self._parts())

    @classmethod
    def load(cls, path: Path, stamp: Stamp) -> Self:
        """Load a run's router."""
        content = load_stamped(path, stamp)
        if content["features"] != FEATURES:
            raise RunError(
                f"{path} was written by another version of lgan, with other features "
                f"({content['features']}; here: {FEATURES}); use that version."
            )
        return cls(**{part.name: content[part.name] for part in fields(cls)})

    def _parts(self) -> dict[str, Tensor]:
        return {part.name: getattr(self, part.name) for part in fields(self)[1:]}

    def _white(self, features: Tensor, covariance: Tensor) -> Tensor:
        """Return features (B, D) whose Euclidean distances are Mahalanobis ones of those given."""
        identity = torch.eye(len(covariance), dtype=torch.float64)
        root = torch.linalg.cholesky((1 - self.shrinkage) * covariance + self.shrinkage * identity)
        return torch.linalg.solve_triangular(root, features.T, upper=False).T


def features_of_rows(take: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """Return the features (N, D) of the pictures that `take` returns for rows (N,).

    Several ranks share the work.
    """
    return torch.cat(distributed.spread(lambda part: features(take(part)), rows.split(CHUNK)))


def features(pictures: Tensor) -> Tensor:
    """Return fixed features, float64 (B, D), of uint8 pictures (B, C, H, W) of any size.

    Of each channel mean, standard deviation and (as a cube root) third moment; of channels next to
    each other the mean difference; then, at up to four scales each half as fine as the last, of the
    channels' sum the differences between neighbours in four directions: logarithms of their mean
    size and energy, and how many are none. Whole numbers are summed: the same on every machine.
    """
    x, unit = pictures.cpu().float(), 255.0
    while min(x.shape[2:]) >= LARGEST:
        x, unit = _halved(x), unit * 4
    first, second, third = _mean(x), _mean(x * x), _mean(x.double() ** 3)
    skew = third - 3 * second * first + 2 * first**3
    skew = skew.sign() * skew.abs() ** (1 / 3)
    apart = _mean((x[:, 1:] - x[:, :-1]).abs())
    found = [first, (second - first**2).clamp(min=0).sqrt(), skew, apart]
    found = [each * 4 / unit for each in found]
    grey, unit = x.sum(1), unit * x.shape[1] / 255
    for _ in range(SCALES):
        if min(grey.shape[1:]) < 2:
            break
        a, b, c, d = grey[:, :-1, :-1], grey[:, :-1, 1:], grey[:, 1:, :-1], grey[:, 1:, 1:]
        for steps in (b - a, c - a, d - a, c - b):
            sizes = torch.stack([_mean(steps.abs()), _mean(steps * steps).sqrt()], 1) / unit
            found += [sizes.log1p(), _mean((steps == 0).float())[:, None]]
        grey, unit = _halved(grey), unit * 4
    return (torch.cat(found, 1) * GRID).round() / GRID


def _halved(x: Tensor) -> Tensor:
    """Return sums of 2 x 2 pixels; a last odd row or column is left out."""
    height, width = (side // 2 * 2 for side in x.shape[-2:])
    x = x[..., :height, :width]
    rows = x[..., ::2, :] + x[..., 1::2, :]
    return rows[..., ::2] + rows[..., 1::2]


def _mean(x: Tensor) -> Tensor:
    return x.sum((-2, -1), dtype=torch.float64) / (x.shape[-2] * x.shape[-1])
