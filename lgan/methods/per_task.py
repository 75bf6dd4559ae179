"""One generator per task: the upper bound that cannot forget, at the full price in parameters."""

import copy
from dataclasses import replace
from typing import Any, ClassVar

from torch import nn

from lgan.arguments import Positive
from lgan.data.tasks import TaskInfo
from lgan.methods.converted import TaskNetworks
from lgan.networks.factory import NetworkFactory


class PerTask(TaskNetworks):
    """Train a fresh pair for every task, and keep every generator, `width` times as wide."""

    classifies: ClassVar[bool] = False  # a discriminator sees one task only
    renews_discriminator = True
    lacks: ClassVar[tuple[str, ...]] = ("one generator for all tasks",)

    def __init__(self, *, networks: NetworkFactory, width: Positive = 1.0, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(networks=networks.scaled(width), **kwargs)
        self._wide = replace(networks, pretrained=())
        self.finished = nn.ModuleList()

    def rules_broken(self) -> list[str]:
        """Say that every task has a generator."""
        return [*super().rules_broken(), "one generator per task"]

    def begin_task(self, info: TaskInfo) -> None:
        """Start from fresh networks."""
        super().begin_task(info)
        self.generator = self.networks.build_generator(info.index).to(self.device)

    def end_task(self, info: TaskInfo) -> None:
        """Keep the generator as it is."""
        super().end_task(info)
        if len(self.finished) == info.index:
            self.finished.append(copy.deepcopy(self.generator).requires_grad_(False))

    def network_of(self, task: int) -> nn.Module:
        """Return the generator of a task."""
        return self.finished[task] if task < len(self.finished) else self.generator

    def structure(self) -> dict[str, Any]:
        """Add the number of generators kept, and of the rows of each where classes were added."""
        structure = super().structure() | {"finished": len(self.finished)}
        rows = [getattr(network, "num_classes", None) for network in self.finished]
        return structure | ({"rows": rows} if "num_classes" in structure else {})

    def rebuild(self, structure: dict[str, Any]) -> None:
        """Make room for the generators kept."""
        super().rebuild(structure)
        every = structure.get("rows", [self.num_classes] * structure["finished"])
        for task, rows in list(enumerate(every))[len(self.finished) :]:
            generator = replace(self.networks, num_classes=rows).build_generator(task)
            self.finished.append(generator.requires_grad_(False).to(self.device))

    def parameter_counts(self) -> dict[str, int]:
        """Count all kept generators as stored, the working copy not; `full`: of the full width."""
        counts = super().parameter_counts()
        wide = replace(self._wide, num_classes=self.networks.num_classes)
        full = sum(p.numel() for p in wide.build_generator().parameters())
        return counts | {
            "stored": sum(p.numel() for p in self.finished.parameters()),
            "total": counts["total"] - counts["stored"],
            "full": (self.task_index + 1) * full,
        }
