"""Joint training (JT): the upper bound that keeps all real data."""

from __future__ import annotations

from typing import Any, ClassVar

from lgan.methods.base import LifelongGAN


class Joint(LifelongGAN):
    """Train on the real data of all tasks so far (MeRGAN, Sec. 4.1, "JT").

    At task t the data are those of tasks 0..t, and training goes on from the weights of task
    t - 1: after ten tasks of 4,000 steps it has had the 40,000 steps of MeRGAN's joint run.

    A translator is not told the task: it must see by the input which translation is asked for.
    That can be learnt where input domains differ (edges, label maps, grey pictures); where they are
    the same, as in the sequence of painting styles, it paints something between the styles. It is
    an upper bound of the first kind only, and its declaration says what it is.

    Args:
        *args: see `LifelongGAN`.
        **kwargs: see `LifelongGAN`.
    """

    declaration: ClassVar[str] = "keeps all real data"
    cumulative_data: ClassVar[bool] = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        if self.objective.task_kind == "pictures":
            untold = f"{self.declaration}, one translator that is not told the task"
            self.declaration = untold  # type: ignore[misc]
