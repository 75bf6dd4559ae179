"""Learning-rate factors: functions of a step's data epoch, as the loader counts it; no state."""

from dataclasses import dataclass
from math import ceil
from typing import Protocol

from lgan.arguments import Share, Whole
from lgan.errors import ConfigError


@dataclass(frozen=True)
class DataClock:
    """A step's data epoch; as in the loader, a remainder that fills no batch is left out."""

    dataset_size: int  # of unpaired data the larger side's
    batch_size: int  # global, over all devices
    steps: int  # generator steps of the task
    draws: int = 1  # batches per generator step

    @property
    def epoch_batches(self) -> int:
        """Batches in an epoch."""
        return max(1, self.dataset_size // self.batch_size)

    @property
    def epochs(self) -> int:
        """Epochs that the task's steps begin; at least 1."""
        return max(1, ceil(self.steps * self.draws / self.epoch_batches))

    def epoch(self, step: int) -> int:
        """Return the epoch of a step's first batch; both are counted from 0."""
        return step * self.draws // self.epoch_batches


class Schedule(Protocol):
    """The factor of the learning rate, in (0, 1], at each step of a task."""

    def __call__(self, step: int, clock: DataClock) -> float:
        """Return the factor at `step`, counted from 0 in each task."""


def linear_decay(epoch: int, constant: int, decay: int) -> float:
    """Return 1 in the first `constant` epochs, then a line that would be 0 after `decay` more.

    Epochs are counted from 0; later ones keep the last factor. pix2pix's and CycleGAN's code steps
    its scheduler at an epoch's start: it is one epoch ahead, and trains the last at a rate of 0.
    """
    past = min(max(0, epoch + 1 - constant), decay)
    return 1 - past / (decay + 1)


class LinearDecay:
    """Constant for some epochs, then linear decay: the recipe of pix2pix and CycleGAN."""

    def __init__(self, constant_epochs: Whole = 100, decay_epochs: Whole = 100) -> None:
        if constant_epochs + decay_epochs < 1:
            raise ConfigError(
                "training.rate_schedule: constant_epochs=0 and decay_epochs=0 make no training; "
                "give at least 1 together."
            )
        self.constant_epochs, self.decay_epochs = constant_epochs, decay_epochs

    def __call__(self, step: int, clock: DataClock) -> float:
        """Return the factor of the step's data epoch, whatever the task's number of steps."""
        return linear_decay(clock.epoch(step), self.constant_epochs, self.decay_epochs)


@dataclass(frozen=True)
class LinearDecayOverTask:
    """The same over a task's epochs, for budgets in steps; the constant share is rounded up."""

    constant_share: Share = 0.5

    def __call__(self, step: int, clock: DataClock) -> float:
        """Return the factor of the step's data epoch."""
        constant = ceil(self.constant_share * clock.epochs)
        return linear_decay(clock.epoch(step), constant, clock.epochs - constant)
