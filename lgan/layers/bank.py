"""How a later task gets its filters: how many are free, and which ones the others are mixed from.

Source: Zhai et al. 2020 (Piggyback GAN); facts and counts: papers/piggyback_gan.md, 1.1 and 1.5.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from lgan.arguments import Finite, Share
from lgan.layers.execution import Mode
from lgan.layers.per_task import Start


@dataclass(frozen=True)
class BankSettings:
    """How tasks after the first get their filters."""

    unconstrained: Share = 0.25
    """lambda, the share of a layer's filters that are free: 0 is pure factorisation, 1 a model of
    its own for each task."""
    rounding: Literal["round", "ceil"] = "round"  # of lambda * Co; "round": half up
    init: Literal["warm", "normal", "scaled"] = "warm"
    """"warm": the filters of the task that `start` names, to the bit if it is the first; "normal":
    F^u and W from N(0, 0.02); "scaled": W from N(0, 1 / sqrt(B)), which keeps the spread of the
    bank's filters."""
    start: Start = "first"  # whose filters, norms and last layers a task starts with
    factorise: Literal["all", "auto"] = "all"
    """"all" is the paper's rule; "auto": only where a piggyback filter is cheaper than a free one,
    kh * kw * Ci > B; elsewhere each task has its own, so that none adds more than a network."""
    size: Annotated[float, Finite, Ge(1)] | None = None
    """The most filters in a bank, as a multiple of Co; None: those of all older tasks."""
    keep: Literal["first", "last", "used"] = "first"
    """What a full bank holds beside the first task's filters: the next ones, the newest ones, or
    the last task's own and those of its bank that it used most."""
    execution: Mode = "auto"

    def free_filters(self, outputs: int, per_filter: int, bank: int) -> int:
        """Return nu of a layer with Co `outputs` when its bank has `bank` filters."""
        if self.factorise == "auto" and per_filter <= bank:
            return outputs
        exact = self.unconstrained * outputs
        # Products such as 0.1 * 30 may lie a rounding error above the whole number meant.
        return math.ceil(exact - 1e-9) if self.rounding == "ceil" else math.floor(exact + 0.5)

    def bank_size(self, learnt: int, outputs: int) -> int:
        """Return B when older tasks have `learnt` filters of a layer with Co `outputs`."""
        # Products such as 1.1 * 30 may lie a rounding error below the whole number meant.
        return learnt if self.size is None else min(learnt, math.floor(self.size * outputs + 1e-9))

    def held(self, learnt: int, outputs: int) -> list[int]:
        """Return which of the `learnt` filters a bank holds, ascending; not of full "used" ones."""
        size = self.bank_size(learnt, outputs)  # the first task's stay: a warm start selects them
        first = min(outputs, size) if self.keep == "last" else size
        return [*range(first), *range(learnt - size + first, learnt)]
