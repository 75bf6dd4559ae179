"""A callback that ends a job as a machine does; the jobs of the tests import this module."""

from __future__ import annotations

import os
import signal
from typing import Any

from lightning import Callback


class Killed(Callback):
    """Kill this process before its first training step, if the job has this seed."""

    def __init__(self, seed: int, victim: int) -> None:
        self.dies = seed == victim

    def on_train_start(self, *_: Any) -> None:
        if self.dies:
            os.kill(os.getpid(), signal.SIGKILL)


class Broken(Callback):
    """A callback with a bug."""

    def on_train_start(self, *_: Any) -> None:
        raise TypeError("a bug")
