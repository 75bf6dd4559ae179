"""Joint training (JT): the upper bound that keeps all real data."""

from __future__ import annotations

from typing import ClassVar

from lgan.methods.base import LifelongGAN


class Joint(LifelongGAN):
    """Train on the real data of all tasks so far (MeRGAN, Sec. 4.1, "JT").

    At task t the data are those of tasks 0..t, and training goes on from the weights of task
    t - 1: after ten tasks of 4,000 steps it has had the 40,000 steps of MeRGAN's joint run.
    """

    declaration: ClassVar[str] = "keeps all real data"
    cumulative_data: ClassVar[bool] = True
