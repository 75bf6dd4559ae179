"""What every converted generator is: tasks that start and end, and a plain network of each."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lgan.errors import ConfigError, RunError
from lgan.layers.protocol import TaskLayer, bake
from lgan.seeding import mix


class Relabelled(nn.Module):
    """A plain network that takes classes y (B,) and gives it their rows, `table[y]`."""

    table: Tensor

    def __init__(self, network: nn.Module, table: Tensor) -> None:
        super().__init__()
        self.network, self.z_dim = network, network.z_dim
        self.register_buffer("table", table)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Return images (B, C, H, W) of noise z (B, z_dim) and classes y."""
        return self.network(z, self.table[y])


class TaskGenerator(nn.Module):
    """A generator that computes as the current task, with tensors of all; subclasses say how.

    The converted network is its submodule `network` (of progressive networks, `columns`); what the
    plain one has, such as its noise length or CycleGAN's two halves, it has too.
    """

    purpose: ClassVar[str] = "layers"  # stands for this kind of generator in the seeds
    table: Tensor | None

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed, self.committed = seed, 0  # of further tasks' new tensors; finished tasks
        self.register_buffer("table", None, persistent=False)  # the task's classes to rows
        self.tasks: list[Any] = []  # what each task so far is described by: its classes, at least

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        try:
            return super().__getattr__(name)
        except AttributeError:
            modules = self.__dict__.get("_modules", {})
            held = modules.get("network", modules.get("columns"))
            if held is None:
                raise
            return getattr(held, name)

    def start_task(self, task: int) -> None:
        """Make the tensors of the task that was described last, the seed being set."""
        raise NotImplementedError

    def described(self, classes: Sequence[int]) -> Any:  # noqa: ANN401
        """Return what describes a further task, as plain data."""
        return list(classes)

    def add_task(self, classes: Sequence[int] = ()) -> None:
        """Start a task; the one before it was committed."""
        assert self.committed == len(self.tasks), "the last task was not committed"
        self._start(self.described(classes))

    def commit(self) -> None:
        """Fix for good what the current task has learnt."""
        for layer in self.modules():
            if isinstance(layer, TaskLayer):
                layer.commit()
        self.committed = len(self.tasks)

    def bake(self, task: int) -> nn.Module:
        """Return the plain network of a finished task, equal to the bit, in eval mode."""
        return self.told(bake(self.network, task).eval(), task)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the current task's images (B, C, H, W) of the inputs, z and y."""
        return self.network(*self.in_rows(*inputs))

    def rows_of(self, classes: Sequence[int]) -> list[int]:
        """Return which class rows of its networks, which never get more, a task's classes take.

        They are the classes' own, unless one is newer than the networks: then the first ones.
        """
        rows = getattr(self, "num_classes", None)
        if rows is None or max(classes, default=0) < rows:
            return list(classes)
        if len(classes) > rows:
            raise ConfigError(
                f"data.classes_per_task={len(classes)}: a task's classes {list(classes)} are more "
                f"than the {rows} that the generator was built for (data.capacity=grow: those of "
                f"the first task), which old tasks keep as it is; give tasks of new classes {rows} "
                "at most, or in a new run set data.capacity=all."
            )
        return list(range(len(classes)))

    def in_rows(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the inputs z and y, the current task's classes y (B,) as rows of its networks."""
        if self.table is None:
            return inputs
        z, y, *others = inputs
        return z, self.table[y], *others

    def told(self, network: nn.Module, task: int) -> nn.Module:
        """Return a task's plain network, called with the task's classes whatever their rows."""
        table = self._table(task)
        return network if table is None else Relabelled(network, table)

    def _table(self, task: int) -> Tensor | None:
        told = self.tasks[task]
        classes = told["classes"] if isinstance(told, dict) else told
        rows = self.rows_of(classes)
        if rows == list(classes):
            return None
        table = torch.zeros(1 + max(classes), dtype=torch.int64)
        table[list(classes)] = torch.tensor(rows)
        return table

    def structure(self) -> dict[str, Any]:
        """Return what describes the tasks, and how many are finished, as plain data."""
        return {"tasks": list(self.tasks), "committed": self.committed}

    def rebuild(self, structure: dict[str, Any]) -> None:
        """Give a generator, fresh or of fewer tasks, the shape of a saved one, tensors apart."""
        for task, description in enumerate(structure["tasks"]):
            if task == len(self.tasks):
                self._start(description)
            if self.committed <= task < structure["committed"]:
                self.commit()
        if self.structure() != structure:
            raise RunError(
                "the saved generator has another shape than these settings give; use the method's "
                "settings of the run it comes from."
            )

    def numbers_of(self, task: int) -> dict[str, int]:
        """Return how many numbers a task added, by kind; batch norms' "statistics" among them."""
        raise NotImplementedError

    def new_parameters(self, task: int) -> int:
        """Return how many parameters a task added, running statistics left out."""
        return sum(n for kind, n in self.numbers_of(task).items() if kind != "statistics")

    def stored_parameters(self, tasks: int | None = None) -> int:
        """Return the parameters kept after the first `tasks` tasks (None: all so far)."""
        return sum(map(self.new_parameters, range(len(self.tasks) if tasks is None else tasks)))

    def _start(self, description: Any) -> None:  # noqa: ANN401
        task = len(self.tasks)
        self.tasks.append(description)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mix(self.seed, self.purpose, task))
            self.start_task(task)
        table = self._table(task)
        self.table = None if table is None else table.to(next(self.parameters()).device)
