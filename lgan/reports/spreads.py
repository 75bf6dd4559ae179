"""What repeated runs tell: intervals, mean ranks, and how far class orders and seeds spread.

A run is known by its *pairing*, its class order and seed: two methods are compared run by run.
"""

import math
from collections.abc import Sequence

import pandas as pd
from scipy import stats


def interval(values: Sequence[float] | pd.Series) -> tuple[float, float]:
    """Return the mean and half the width of its 95 % interval, Student's; NaN where there is none.

    That takes the values for independent; NaN is passed over.
    """
    known = pd.Series(values, dtype=float).dropna()
    return known.mean(), stats.t.ppf(0.975, len(known) - 1) * known.sem()


def mean_ranks(values: pd.DataFrame, better: str) -> pd.Series:
    """Return each method's mean rank over the pairings that all have; 1 is best, ties share.

    `values` has a row per pairing and a column per method, `better` is "higher" or "lower". A
    method without any value has NaN and takes no part; all have where no pairing is common.
    """
    known = values.dropna(axis="columns", how="all").dropna()
    ranks = known.rank(axis="columns", ascending=better == "lower")
    return ranks.mean().reindex(values.columns)


def spread(values: pd.Series) -> tuple[float, float, float]:
    """Return sample standard deviations: over seeds, within orders, and of the orders' means.

    The third is what the means would spread by if the order did not matter: the first / sqrt(n).
    NaN where it takes more values; they are by pairing.
    """
    by_order = values.dropna().groupby(level=0)
    seeds = math.sqrt(by_order.var().mean())
    return seeds, by_order.mean().std(), seeds / math.sqrt(by_order.size().mean())
