"""What repeated runs tell: intervals, mean ranks, and how far class orders and seeds spread.

A run is known by its *pairing*, its class order and seed: two methods are compared run by run.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

Pairing = tuple[str, int]
"""Name of the class order, and seed."""


@dataclass(frozen=True)
class Interval:
    """A mean of `n` values and half the width of its 95 % interval; NaN where there is none."""

    mean: float
    half: float
    n: int

    @property
    def clear(self) -> bool:
        """Whether 0 lies outside of the interval."""
        return abs(self.mean) > self.half


def interval(values: Sequence[float]) -> Interval:
    """Return the mean with Student's t interval, which takes the values for independent."""
    known = np.array([value for value in values if not math.isnan(value)])
    mean = float(known.mean()) if len(known) else math.nan
    if len(known) < 2:
        return Interval(mean, math.nan, len(known))
    error = float(known.std(ddof=1)) / math.sqrt(len(known))
    return Interval(mean, float(stats.t.ppf(0.975, len(known) - 1)) * error, len(known))


def paired(values: Mapping[Pairing, float], others: Mapping[Pairing, float]) -> Interval:
    """Return the interval of the differences between runs of the same order and seed."""
    return interval([value - others[key] for key, value in values.items() if key in others])


def mean_ranks(values: Mapping[str, Mapping[Pairing, float]], better: str) -> dict[str, float]:
    """Return each method's mean rank over the pairings that all have; 1 is best, ties share.

    `better` is "higher" or "lower". A method without any value has NaN and takes no part; all have
    where no pairing is common.
    """
    known = {
        name: pairings
        for name, its in values.items()
        if (pairings := {pairing for pairing, value in its.items() if not math.isnan(value)})
    }
    ranks = dict.fromkeys(values, math.nan)
    if known and (common := sorted(set.intersection(*known.values()))):
        scores = np.array([[values[name][pairing] for pairing in common] for name in known])
        placed = stats.rankdata(-scores if better == "higher" else scores, axis=0)
        ranks |= dict(zip(known, placed.mean(axis=1).tolist(), strict=True))
    return ranks


@dataclass(frozen=True)
class Spread:
    """Sample standard deviations: of runs that differ in the seed, and of the orders' means.

    `by_chance` is what the means would spread by if the order did not matter: `seeds` / sqrt(n).
    """

    seeds: float
    orders: float
    by_chance: float


def spread(values: Mapping[Pairing, float]) -> Spread:
    """Tell the spread over seeds, within orders, from that over orders; NaN where it takes more."""
    by_order: dict[str, list[float]] = {}
    for (order, _), value in values.items():
        if not math.isnan(value):
            by_order.setdefault(order, []).append(value)
    several = [np.var(its, ddof=1) for its in by_order.values() if len(its) > 1]
    seeds = math.sqrt(np.mean(several)) if several else math.nan
    means = [np.mean(its) for its in by_order.values()]
    orders = float(np.std(means, ddof=1)) if len(means) > 1 else math.nan
    count = np.mean([len(its) for its in by_order.values()]) if by_order else math.nan
    return Spread(seeds, orders, seeds / math.sqrt(count))
