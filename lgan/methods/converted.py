"""What methods share that have a network for every task: how it is kept, and how it draws."""

from typing import Any, ClassVar

import lightning as L
import torch
from torch import Tensor, nn

from lgan.callbacks.masks import ExpandLayers, FreezeFilterBank
from lgan.data.images import placed
from lgan.data.tasks import TaskInfo
from lgan.errors import ConfigError
from lgan.layers.generator import TaskGenerator
from lgan.methods.base import LifelongGAN
from lgan.methods.fit import Trait
from lgan.networks.growth import Maker


class TaskNetworks(LifelongGAN):
    """A method that draws a task's images with that task's network, as `network_of` gives it."""

    lacks: ClassVar[tuple[str, ...]] = ("one generator for all tasks",)

    def generate(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return images of each class from its task's network; labels on the CPU save a wait."""
        images = z.new_empty(len(labels), *self.networks.image_shape)
        known = self.task_classes[: self.task_index + 1]
        task_of = {label: task for task, classes in enumerate(known) for label in classes}
        numbers = labels.tolist()
        tasks = [task_of[label] for label in numbers]
        for task in sorted(set(tasks)):
            mine = [row for row, each in enumerate(tasks) if each == task]
            rows = placed(tuple(mine), z.device)
            classes = placed(tuple(numbers[row] for row in mine), z.device)
            images[rows] = self.infer(self.network_of(task), z[rows], classes)
        return images


class Converted(TaskNetworks):
    """A method whose generator was converted; finished tasks' networks are baked, to plain ones."""

    generator: TaskGenerator
    needs: ClassVar[tuple[str, ...]] = ("one generator for all tasks",)
    refuses: ClassVar[dict[Trait, str]] = {
        "autoencoder": "it converts a generator alone; choose objective=acgan, or method=dgr, "
        "mergan_jtr or per_task."
    }

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self._baked: dict[int, nn.Module] = {}
        self._trained = 0

    @property
    def growing(self) -> dict[str, Maker]:
        """All but the generator: each task's classes have its first rows in tensors of the task."""
        return {name: make for name, make in super().growing.items() if name != "generator"}

    def begin_task(self, info: TaskInfo) -> None:
        """Drop the baked networks: what they show is to be read off the weights again."""
        super().begin_task(info)
        self._baked = {}

    def end_task(self, info: TaskInfo) -> None:
        """Drop the baked networks."""
        super().end_task(info)
        self._baked = {}

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return fresh optimizers, without weight decay on the generator."""
        optimizers = super().configure_optimizers()
        for group in optimizers[0].param_groups:
            if group.get("weight_decay"):
                raise ConfigError(
                    f"optimizer.weight_decay={group['weight_decay']} would move weights that old "
                    f"tasks use; method={self.name} needs optimizer.weight_decay=0."
                )
        self._trained = sum(p.numel() for g in optimizers[0].param_groups for p in g["params"])
        return optimizers

    def network_of(self, task: int) -> nn.Module:
        """Return what draws a task's images: a plain network once the task is finished."""
        if task >= self.generator.committed:
            return self.generator
        if task not in self._baked:
            self._baked[task] = self.generator.bake(task).to(self.device)
        return self._baked[task]

    def structure(self) -> dict[str, Any]:
        """Add what the generator looks like."""
        return super().structure() | self.generator.structure()

    def rebuild(self, structure: dict[str, Any]) -> None:
        """Give the generator the shape of a saved one."""
        super().rebuild(structure)
        self._baked = {}
        self.generator.rebuild({key: structure[key] for key in self.generator.structure()})


class ConvertedGenerator(Converted):
    """A method whose generator is converted; discriminators are not, and are new or inherited."""

    classifies: ClassVar[bool] = False

    def __init__(self, *, inherit_discriminator: bool = False, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.renews_discriminator = not inherit_discriminator  # papers are silent
        self.generator = self.convert(self.generator)

    def convert(self, network: nn.Module) -> TaskGenerator:
        """Return a plain generator, converted."""
        raise NotImplementedError

    def configure_callbacks(self) -> list[L.Callback]:
        """Add those that make room in the generator and freeze it."""
        return [*super().configure_callbacks(), ExpandLayers(), FreezeFilterBank()]

    def parameter_counts(self) -> dict[str, int]:
        """Count what the optimizer moved, and what is kept of all tasks, masks as bits."""
        stored = self.generator.stored_parameters(self.task_index + 1)
        return super().parameter_counts() | {"trained": self._trained, "stored": stored}
