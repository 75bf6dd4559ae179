"""What methods share that convert the generator's layers and keep what older tasks learnt."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import lightning as L
from torch import nn

from lgan.callbacks.bank import FreezeFilterBank
from lgan.callbacks.masks import ExpandLayers
from lgan.data.tasks import TaskInfo
from lgan.layers.lateral import ProgressiveTranslator
from lgan.layers.per_task import LifelongGenerator
from lgan.methods.task_networks import TaskNetworks

Lifelong = LifelongGenerator | ProgressiveTranslator


class ConvertedGenerator(TaskNetworks):
    """A method whose generator is converted; only generators are, discriminators are not.

    Args:
        inherit_discriminator: whether a task's discriminator starts as the last task's ended, and
            not anew; the papers are silent.
        **kwargs: see `LifelongGAN`.
    """

    classifies: ClassVar[bool] = False

    def __init__(self, *, inherit_discriminator: bool = False, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.inherit_discriminator = inherit_discriminator
        self.generator = self.convert(self.generator)

    def convert(self, network: nn.Module) -> nn.Module:
        """Return a plain generator, converted."""
        raise NotImplementedError

    @property
    def lifelong(self) -> Lifelong:
        """The converted generator."""
        return cast(Lifelong, self.generator)

    def configure_callbacks(self) -> list[L.Callback]:
        """Add those that make room in the generator and freeze it."""
        return [*super().configure_callbacks(), ExpandLayers(), FreezeFilterBank()]

    def begin_task(self, info: TaskInfo) -> None:
        """Start the discriminator anew."""
        super().begin_task(info)
        if info.index and not self.inherit_discriminator:
            self.discriminator = self.networks.build_discriminator(info.index).to(self.device)

    def parameter_counts(self) -> dict[str, int]:
        """Count what the task added, what is kept of all tasks, and one full network per task."""
        task, full = self.task_index, self.networks.build_generator()
        return super().parameter_counts() | {
            "trained": self.lifelong.new_parameters(task),
            "stored": self.lifelong.stored_parameters(task + 1),
            "full": (task + 1) * sum(p.numel() for p in full.parameters()),
        }
