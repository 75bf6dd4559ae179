"""What a metric is: one module and one entry of `evaluation.metrics`."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self

from lgan.errors import ConfigError
from lgan.metrics.evidence import Evidence
from lgan.run.columns import Column

# `head`: the method's own classifier; `head_of`: one that is told the task.
Need = Literal["generated", "head", "head_of", "classifier", "features", "pairs"]


@dataclass
class Values:
    """What was measured after task t, by name, as in results.json."""

    metrics: list[dict[str, float]] = field(default_factory=list)  # by task j <= t, or empty
    overall: dict[str, float] = field(default_factory=dict)  # over all classes seen so far
    per_class: dict[str, dict[str, float]] = field(default_factory=dict)  # by name and class id

    @classmethod
    def by_class(
        cls,
        name: str,
        values: Mapping[int, float],
        tasks: Iterable[Sequence[int]],
        weights: Mapping[int, int] | None = None,
    ) -> Self:
        """Return values by class id, and means by task and over all, by `weights` if given."""
        return cls(
            [{name: _mean(values, classes, weights)} for classes in tasks],
            {name: _mean(values, values, weights)},
            {name: {str(label): value for label, value in values.items()}},
        )

    @classmethod
    def by_task(cls, name: str, values: Sequence[float]) -> Self:
        """Return a value known per task, with its mean over tasks."""
        mean = sum(value / len(values) for value in values)
        return cls([{name: value} for value in values], {name: mean})

    def add(self, other: Self) -> Self:
        """Take in what another metric measured after the same task, and return this."""
        if not self.metrics:
            self.metrics = [{} for _ in other.metrics]
        parts: list[tuple[dict, dict]]
        parts = [(self.overall, other.overall), (self.per_class, other.per_class)]
        parts += zip(self.metrics, other.metrics, strict=bool(other.metrics))
        for mine, theirs in parts:
            if twice := sorted(mine.keys() & theirs.keys()):
                raise ConfigError(
                    f"'{twice[0]}' is measured twice; set one of the entries of "
                    "evaluation.metrics that give it to null."
                )
            mine.update(theirs)
        return self


class Metric(ABC):
    """A measurement at every task border; it is passed over where something it needs is absent."""

    needs: ClassVar[tuple[Need, ...]] = ()
    least: ClassVar[int] = 1  # real and generated images of a task without which it has no value
    columns: ClassVar[tuple[Column, ...]] = ()  # what tables show of it

    @abstractmethod
    def measure(self, evidence: Evidence) -> Values:
        """Return the values after the task that has just ended, the same on every rank."""


def _mean(
    values: Mapping[int, float], classes: Iterable[int], weights: Mapping[int, int] | None
) -> float:
    """Return the mean over classes, weighted if asked to; classes of weight 0 do not count."""
    kept = {label: weights[label] if weights else 1 for label in classes}
    total = sum(kept.values())
    return sum(values[c] * kept[c] for c in kept if kept[c]) / total if total else math.nan
