"""A long-term memory for all old tasks, and short-term ones for single tasks, and what they recall.

Each is a generator and a discriminator, whose class head is the learner.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from lgan.arguments import Count, Positive
from lgan.data.images import placed
from lgan.errors import ConfigError
from lgan.methods.base import LifelongGAN
from lgan.methods.dgr import assign_by_label
from lgan.networks.factory import NetworkFactory
from lgan.networks.growth import Maker
from lgan.networks.modes import having
from lgan.networks.norm import ClassBatchNorm2d
from lgan.objectives.base import Objective


class Memory(NamedTuple):
    """What holds some tasks: its networks, and the classes that it knows."""

    generator: nn.Module
    discriminator: nn.Module | None  # None where only pictures are asked for
    classes: tuple[int, ...]


def untold(image_shape: tuple[int, int, int], num_classes: int, told: Maker) -> nn.Module:
    """Return a generator that knows of one class only."""
    return told(image_shape, 1)


class Memories(LifelongGAN):
    """A method with `generator` and `discriminator` for the long term, and others for the short.

    Args:
        width: of the short-term memories' networks, as a share of the long-term one's.
        labels: "requested": generators are told the class, and replays are what they were asked
            for; "learner": generators know no class, the learner labels what they draw, picks among
            it for a class, and, with an autoencoder, looks at reconstructions only, in training and
            test. None: "learner" with an autoencoder (the paper's).
        noise_rows: with labels="learner", images made for each that is asked for.
    """

    lacks: ClassVar[tuple[str, ...]] = ("one generator for all tasks",)

    def __init__(
        self,
        *,
        networks: NetworkFactory,
        objective: Objective,
        width: Positive = 1.0,
        labels: Literal["requested", "learner"] | None = None,
        noise_rows: Count = 4,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        self.asks = labels == "requested" or (labels is None and not objective.autoencodes)
        if not self.asks:
            networks = replace(networks, generator=partial(untold, told=networks.generator))
        super().__init__(networks=networks, objective=objective, **kwargs)
        if not self.asks and objective.autoencodes and _mixes(self.generator):
            raise ConfigError(
                "network.generator.statistics normalises a reconstruction by the pictures beside "
                "it, which method.labels=learner looks at; choose none."
            )
        self.width, self.noise_rows = width, 1 if self.asks else noise_rows
        self.unlabelled = copy.copy(objective)  # for a generator that knows no class
        self.unlabelled.class_weight = 0.0  # type: ignore[attr-defined]
        self.short_generators, self.short_discriminators = nn.ModuleList(), nn.ModuleList()
        self.short_rows: list[int] = []  # for classes
        self.sleeps: list[int] = []  # borders behind which all tasks were in the long-term memory

    @property
    def consolidated(self) -> int:
        """Number of tasks that the long-term memory holds."""
        return self.sleeps[-1] + 1 if self.sleeps else 0

    @property
    def growing(self) -> dict[str, Maker]:
        """The long-term networks but a generator that is told no class."""
        found = super().growing
        return found if self.asks else {k: make for k, make in found.items() if k != "generator"}

    def short_networks(self, rows: int | None = None) -> NetworkFactory:
        """Return what builds short-term memories, with so many rows for classes."""
        networks = self.networks.scaled(self.width, "generator", "discriminator")
        return replace(networks, num_classes=rows or networks.num_classes)

    def add_short(self, task: int, rows: int | None = None) -> None:
        """Make a fresh short-term memory for a task; those of later ones are forgotten."""
        self.forget_short(task - self.consolidated)
        networks = self.short_networks(rows)
        self.short_generators.append(networks.build_generator(task).to(self.device))
        self.short_discriminators.append(networks.build_discriminator(task).to(self.device))
        self.short_rows.append(networks.num_classes)

    def keep_short(self) -> None:
        """Let nothing move the short-term memories."""
        self.short_generators.requires_grad_(False)
        self.short_discriminators.requires_grad_(False)

    def forget_short(self, kept: int = 0) -> None:
        """Forget the short-term memories but the first ones."""
        self.short_generators = self.short_generators[:kept]
        self.short_discriminators = self.short_discriminators[:kept]
        self.short_rows = self.short_rows[:kept]

    def holder(self, label: int) -> int:
        """Return the task whose short-term memory holds a class; -1: the long-term memory does."""
        known = self.task_classes[: self.task_index + 1]
        task = next(task for task, classes in enumerate(known) if label in classes)
        return task if task >= self.consolidated else -1

    def memory_of(self, task: int) -> Memory:
        """Return the memory that holds a task; of -1, the long-term one."""
        place = task - self.consolidated
        if 0 <= place < len(self.short_generators):
            pair = self.short_generators[place], self.short_discriminators[place]
            return Memory(*pair, tuple(self.task_classes[task]))
        known = self.task_classes[: self.consolidated]
        every = tuple(label for classes in known for label in classes)
        return Memory(self.generator, self.discriminator, every)

    def seen(self, generator: nn.Module, images: Tensor) -> Tensor:
        """Return what a learner sees of pictures: reconstructions, if it is to label them.

        This is the only way to a learner, in training and test (papers/dual_memory.md, trap 6).
        """
        if self.asks:
            return images
        with torch.no_grad(), having(generator.modules(), training=False):
            return self.objective.reconstruct(generator, images, _zeros(images))

    def answer(self, memory: Memory, images: Tensor) -> Tensor:
        """Return a learner's class logits (B, num_classes); -inf of classes it never met."""
        assert memory.discriminator is not None
        logits = memory.discriminator(self.seen(memory.generator, images))[1]
        known = placed(memory.classes, logits.device)
        # A short-term memory gains no rows for the classes that come after it.
        every = logits.new_full((len(logits), self.num_classes), -torch.inf)
        return every.index_copy(1, known, logits[:, known])

    def draw(self, memory: Memory, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return images of noise (B, z_dim) and their classes: those asked for, or as is answered.

        Generator and learner work as for evaluation, whatever mode they are in: a batch of theirs
        is of few classes.
        """
        networks = (each for each in memory[:2] if each is not None)
        with having((m for each in networks for m in each.modules()), training=False):
            if self.asks:
                return self.infer(memory.generator, z, labels), labels
            images = self.infer(memory.generator, z, _zeros(z))
            return images, self.answer(memory, images).argmax(1)

    def condition(self, labels: Tensor) -> Tensor:
        """Return what generators take for classes: these, or the only one that they know."""
        return labels if self.asks else torch.zeros_like(labels)

    @property
    def draws_jointly(self) -> bool:
        """Whether images are picked among all that a call draws, or normalised by it."""
        return not self.asks or super().draws_jointly

    def generate(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return images of classes, each by the memory that holds it; see `LifelongGAN`."""
        images = z.new_empty(len(labels), *self.networks.image_shape)
        holders = list(map(self.holder, labels.tolist()))
        noise, labels = z.unflatten(0, (len(labels), self.noise_rows)), labels.to(z.device)
        for task in sorted(set(holders)):
            mine = placed(tuple(row for row, each in enumerate(holders) if each == task), z.device)
            drawn, classes = self.draw(
                self.memory_of(task), noise[mine].flatten(0, 1), labels[mine]
            )
            images[mine] = drawn if self.asks else drawn[assign_by_label(classes, labels[mine])]
        return images

    def network_of(self, task: int) -> nn.Module:
        """Return the generator of the memory that holds a task."""
        return self.memory_of(task).generator

    @property
    def has_classifier(self) -> bool:
        """Whether one learner knows all classes: where no memory is a short-term one."""
        return bool(self.sleeps) and not len(self.short_generators)

    def classify(self, images: Tensor) -> Tensor:
        """Return the long-term learner's class logits."""
        return self.answer(self.memory_of(-1), images)

    def classifier_of(self, task: int) -> Callable[[Tensor], Tensor]:
        """Return what gives the class logits of the memory that holds a task."""
        return partial(self.answer, self.memory_of(task))

    def learnt_at(self, task: int) -> int:
        """Return the border at which the memory that holds a task learnt it."""
        return next((border for border in self.sleeps if border >= task), task)

    def structure(self) -> dict[str, Any]:
        """Add the sleeps, and the short-term memories by their rows for classes."""
        mine = {"short_rows": list(self.short_rows), "sleeps": list(self.sleeps)}
        return super().structure() | mine

    def rebuild(self, structure: dict[str, Any]) -> None:
        """Make room for the short-term memories."""
        super().rebuild(structure)
        self.sleeps = list(structure["sleeps"])
        self.forget_short()
        for place, rows in enumerate(structure["short_rows"]):
            self.add_short(self.consolidated + place, rows)
        self.keep_short()


def _zeros(rows: Tensor) -> Tensor:
    """Return the only class that a generator knows, for as many rows."""
    return torch.zeros(len(rows), dtype=torch.int64, device=rows.device)


def _mixes(network: nn.Module) -> bool:
    """Return whether a picture's maps are normalised by those of others."""
    norms = (m for m in network.modules() if isinstance(m, ClassBatchNorm2d))
    return any(norm.statistics != "none" for norm in norms)
