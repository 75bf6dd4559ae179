"""Joint training (JT): the upper bound that keeps all real data."""

from __future__ import annotations

from typing import ClassVar

from lgan.methods.base import LifelongGAN


class Joint(LifelongGAN):
    """Train on the real data of all tasks so far (MeRGAN, Sec. 4.1, "JT").

    At task t the data are those of tasks 0..t, and training goes on from the weights of task
    t - 1: after ten tasks of 4,000 steps it has had the 40,000 steps of MeRGAN's joint run.

    A translator is not told the task, as its declaration says: it must see by the input which
    translation is asked for. It is an upper bound where input domains differ (edges, label maps,
    grey pictures); where they are the same, as in painting styles, it paints something in between.
    """

    cumulative_data: ClassVar[bool] = True
    lacks: ClassVar[tuple[str, ...]] = ("tasks that come one by one",)

    def rules_broken(self) -> list[str]:
        """Say that all real data are kept."""
        pictures = self.objective.task_kind == "pictures"
        untold = ", one translator that is not told the task" * pictures
        return [*super().rules_broken(), f"keeps all real data{untold}"]
