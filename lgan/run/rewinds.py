"""Going back after a loss has run away: from the last checkpoint on, with other random numbers.

What is done at a step is a function of a list in results.json, so that a run that is killed after
a rewind goes on exactly as it would have done.
"""

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Rewinds:
    """The rewinds of a run, oldest first: the list `rewinds` of its record itself."""

    # Of each `task`, `from_step` (it went on there), `at_step` (diverged), `rate_factor`, `reason`.
    entries: list[dict[str, Any]] = field(default_factory=list)

    def again(self, task: int, step: int) -> tuple[str | int, ...]:
        """Return what seeds are mixed with at a step, beside it, once it is tried again."""
        count = len(self._before(task, step))
        return ("retry", count) if count else ()

    def rate_factor(self, task: int, step: int) -> float:
        """Return what the learning rate is multiplied by at a step; 1 without rewinds."""
        return math.prod((e["rate_factor"] for e in self._before(task, step)), start=1.0)

    def count(self, task: int) -> int:
        """Return the number of rewinds of a task."""
        return sum(entry["task"] == task for entry in self.entries)

    def _before(self, task: int, step: int) -> list[dict[str, Any]]:
        return [e for e in self.entries if e["task"] == task and e["from_step"] <= step]
