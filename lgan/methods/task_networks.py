"""What methods share whose generator keeps a network of its own for every finished task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, cast

import torch
from torch import Tensor, nn

from lgan.data.tasks import TaskInfo
from lgan.errors import ConfigError
from lgan.methods.base import LifelongGAN


class TaskGenerator(Protocol):
    """A generator that computes as the current task, and gives finished ones as plain networks."""

    @property
    def committed(self) -> int:
        """Number of finished tasks."""
        ...

    def add_task(self, classes: Sequence[int]) -> None:
        """Make room for a task and start it."""
        ...

    def commit(self) -> None:
        """End the current task: what it has learnt is fixed from now on."""
        ...

    def bake(self, task: int) -> nn.Module:
        """Return the plain network of a finished task, in eval mode."""
        ...

    def structure(self) -> dict[str, Any]:
        """Return what it looks like, as plain data."""
        ...

    def rebuild(self, structure: dict[str, Any]) -> None:
        """Give a fresh one the shape of a saved one."""
        ...


class TaskNetworks(LifelongGAN):
    """A method whose generator is a `TaskGenerator`. Takes the arguments of `LifelongGAN`."""

    needs: ClassVar[tuple[str, ...]] = ("one generator for all tasks",)
    lacks: ClassVar[tuple[str, ...]] = needs

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self._baked: dict[int, nn.Module] = {}
        self._trained = 0

    @property
    def tasks_of(self) -> TaskGenerator:
        """The generator, as what it is beside an `nn.Module`."""
        return cast(TaskGenerator, self.generator)

    def begin_task(self, info: TaskInfo) -> None:
        """Drop the baked networks: what they show is to be read off the weights again."""
        super().begin_task(info)
        self._baked = {}

    def end_task(self, info: TaskInfo) -> None:
        """Drop the baked networks."""
        super().end_task(info)
        self._baked = {}

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return fresh optimizers, without weight decay on the generator.

        Raises:
            ConfigError: the optimizer decays weights, which would move those that are protected.
        """
        optimizers = super().configure_optimizers()
        for group in optimizers[0].param_groups:
            if group.get("weight_decay"):
                raise ConfigError(
                    f"optimizer.weight_decay={group['weight_decay']} would move weights that old "
                    f"tasks use; method={self.name} needs optimizer.weight_decay=0."
                )
        self._trained = sum(p.numel() for g in optimizers[0].param_groups for p in g["params"])
        return optimizers

    def generate(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return images of each class from the network of its task; finished tasks' are baked."""
        images = z.new_empty(len(labels), *self.networks.image_shape)
        for task, classes in enumerate(self.task_classes[: self.task_index + 1]):
            mine = torch.isin(labels, torch.tensor(classes, device=labels.device))
            if mine.any():
                images[mine] = self.infer(self.network_of(task), z[mine], labels[mine])
        return images

    def network_of(self, task: int) -> nn.Module:
        """Return what draws a task's images: a plain network once the task is finished."""
        if task >= self.tasks_of.committed:
            return self.generator
        if task not in self._baked:
            self._baked[task] = self.tasks_of.bake(task).to(self.device)
        return self._baked[task]

    def structure(self) -> dict[str, Any]:
        """Add what the generator looks like."""
        return super().structure() | self.tasks_of.structure()

    def rebuild(self, structure: dict[str, Any]) -> None:
        """Give the generator the shape of a saved one."""
        super().rebuild(structure)
        self.tasks_of.rebuild({key: structure[key] for key in self.tasks_of.structure()})
