"""Which pictures of a class are worth keeping: rankings by how a network sees them."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

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
    2018: "mean_of_features": nearest to the class's mean; "entropy": the most uncertain;
    "distance": with the smallest logit of the class, so the nearest to its border or beyond it.
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
