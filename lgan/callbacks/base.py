"""The task border as an event: Lightning's own hooks see the fit of a single task only."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from lightning import Callback
from lightning.pytorch.loggers import Logger
from torch import Tensor

from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.ledger import Reader
from lgan.errors import ConfigError, RunError
from lgan.metrics.base import Values
from lgan.run.columns import Column


class Learner(Protocol):
    """A method as callbacks see it: a part of `lgan.methods.base.LifelongGAN`, above this room."""

    name: str
    generator: Any
    noise_rows: int
    total_steps: int
    stamp: dict[str, str]
    has_generator: bool

    @property
    def has_classifier(self) -> bool:
        """Whether `classify` tells all classes apart that have been learnt by now."""

    @property
    def draws_jointly(self) -> bool:
        """Whether an image depends on what else is drawn in the same call."""

    @property
    def other_heads(self) -> Mapping[str, Callable[[Tensor], Tensor]]:
        """Further classifiers like `classify`, by name."""

    @property
    def device(self) -> torch.device:
        """Where the networks are."""

    def eval(self) -> Any:  # noqa: ANN401
        """Switch to evaluation mode."""

    def generate(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return images of the classes from the noise."""

    def classify(self, images: Tensor) -> Tensor:
        """Return class logits; only where there is a classifier."""

    def classifier_of(self, task: int) -> Callable[[Tensor], Tensor] | None:
        """Return what gives class logits once the task is told; None: nothing does."""

    def learnt_at(self, task: int) -> int:
        """Return the border since which the same network draws a task's images."""

    def parameter_counts(self) -> dict[str, int]:
        """Count parameters: trained, stored, discriminator, total."""

    def state_dict(self) -> dict[str, Any]:
        """Return the module's tensors by name."""


@dataclass
class TaskContext:
    """What a callback may see and write at the border where `task` begins or has just ended.

    The method's networks are on the evaluation device. As in results.json, `references` is what the
    run's numbers depend on (callbacks add to it), `columns` is what tables show of the run (see
    `record_values`), and `earlier_rows` are those of the tasks before. `former` is the row of a
    border that is measured again, by another yardstick: what is not recorded anew stays as it was.
    `summary` is the run's, as it is recorded.
    """

    method: Learner
    datamodule: TaskSequenceDataModule
    task: int
    folder: Path
    loggers: list[Logger] = field(default_factory=list)
    references: dict[str, Any] = field(default_factory=dict)
    columns: list[dict[str, Any]] = field(default_factory=list)
    earlier_rows: list[dict[str, Any]] = field(default_factory=list)
    former: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._values = Values([{} for _ in range(self.task + 1)])
        self._parts: dict[str, Any] = {}

    @property
    def row(self) -> dict[str, Any]:
        """What is recorded of this task, as in results.json; written by the two methods below."""
        row = {**self.former, "task": self.task, **asdict(self._values), **self._parts}
        return {key: value for key, value in row.items() if value != {}}

    def record(self, **parts: Any) -> None:  # noqa: ANN401  (whatever JSON can hold)
        """Add parts to the task's row, in whatever order callbacks stand."""
        for name, part in parts.items():
            if name in {"task", *vars(self._values), *self._parts}:
                raise RunError(f"'{name}' of task {self.task} is recorded twice.")
            self._parts[name] = part

    def record_values(self, values: Values, columns: Iterable[Column] = ()) -> None:
        """Add what was measured to the task's row, and what tables show of it."""
        self._values.add(values)
        self.columns += [c for c in map(asdict, columns) if c not in self.columns]

    def log(self, numbers: Mapping[str, float]) -> None:
        """Hand numbers to all loggers."""
        for logger in self.loggers:
            logger.log_metrics(dict(numbers), step=self.step)

    @property
    def step(self) -> int:
        """Generator steps of all tasks so far: the step of every logged number."""
        return self.method.total_steps


class TaskCallback(Callback):
    """A Lightning callback that also hears of task borders."""

    declaration: ClassVar[str] = ""  # the protocol's rule that it breaks, for tables
    reads: ClassVar[Reader] = ""  # as whom it opens real pictures of other tasks at borders

    def check(self, method: Learner, datamodule: TaskSequenceDataModule | None) -> None:
        """Raise a ConfigError if it cannot work; without data, as far as the method tells."""

    def on_task_start(self, context: TaskContext) -> None:
        """Run before a task's fit, the networks being as the last task left them."""

    def on_task_end(self, context: TaskContext) -> None:
        """Run after a task was fitted and consolidated."""


class BroughtByMethod(TaskCallback):
    """A callback that methods bring (`configure_callbacks`); it acts before all others."""

    def check(self, method: Learner, datamodule: TaskSequenceDataModule | None) -> None:
        """Refuse to stand in a config too: it would act twice, or in the other's place."""
        kind = next(k for k in type(self).__mro__ if BroughtByMethod in k.__bases__)
        raise ConfigError(
            f"callbacks: {type(self).__name__} is a kind of {kind.__name__}, which methods bring "
            "themselves; remove it from the callbacks."
        )


def announce(event: str, callbacks: Iterable[Callback], context: TaskContext) -> None:
    """Call a hook of all `TaskCallback`s, in order."""
    for callback in callbacks:
        if not isinstance(callback, TaskCallback):
            continue
        reader: Reader = "method" if isinstance(callback, BroughtByMethod) else callback.reads
        with context.datamodule.reading(reader) if callback.reads else nullcontext():
            getattr(callback, event)(context)
