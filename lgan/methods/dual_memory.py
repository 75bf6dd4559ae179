"""Deep generative dual memory network (Kamra, Gupta and Liu 2017, arXiv 1710.10368).

Awake, a fresh short-term memory learns the present task. When `n_stm` of them are full, further
steps follow, a sleep: the long-term memory learns what they draw, mixed with what itself drew
before, and they are emptied; it never sees a real picture. No code was published. Which source says
what, and where readings are ours, stands in papers/dual_memory.md (5 to 7).
"""

import copy
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lgan.arguments import Count, Share
from lgan.data.images import placed
from lgan.data.tasks import TaskInfo
from lgan.errors import ConfigError
from lgan.methods.memories import Memories, Memory
from lgan.networks.factory import noise_length
from lgan.objectives.base import Batch
from lgan.seeding import mix

LONG = "long_"  # begins the roles of the long-term memory's players


def new_share(new: float, age: float, n_max: int | None, least: float) -> float:
    """Return eta, the share of `new` pictures in a sleep after `age` were consolidated (v2).

    Where not all find room among `n_max` (None: they do) it is at least `least`.
    """
    plain = new / (new + age)
    return plain if n_max is None or new + age <= n_max else max(least, plain)


class DualMemory(Memories):
    """Short-term memories for single tasks, from which a long-term memory learns asleep.

    Args:
        n_stm: short-term memories; the task that fills the last one ends with a sleep.
        kappa: least share of each new task in a sleep whose pictures are more than `n_max`.
        n_max: pictures of a sleep, new and old ones; None: all.
        sleep_steps: None: as many as the tasks had that are consolidated.
        final_sleep: whether the last task ends with a sleep if not all memories are full. A run
            that is extended (`lgan-extend`) has then slept once more than one that goes on.
        **kwargs: see `Memories`.
    """

    needs: ClassVar[tuple[str, ...]] = ("tasks that come one by one",)
    refuses = {"pictures": "its memories draw from noise; choose method=lifelong_gan or mergan_ra."}
    varies = "asleep, steps draw from several memories in turn"
    old_generator: nn.Module | None
    old_discriminator: nn.Module | None

    def __init__(
        self,
        *,
        n_stm: Count = 2,
        kappa: Share = 0.05,
        n_max: Count | None = None,
        sleep_steps: Count | None = None,
        final_sleep: bool = True,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        if n_max is not None and n_stm * kappa > 1:
            raise ConfigError(
                f"method.kappa={kappa}, for each of method.n_stm={n_stm} tasks, is more than a "
                f"whole sleep; give at most {1 / n_stm:g}."
            )
        self.n_stm, self.kappa, self.n_max = n_stm, kappa, n_max
        self.sleep_steps, self.final_sleep = sleep_steps, final_sleep
        self.pictures: dict[int, float] = {}  # of each short-term class, that were trained on
        self.age: dict[int, float] = {}  # of each long-term class, that were consolidated
        self.told: dict[str, Any] = {}  # of the last task, for its row
        self._dreamt = torch.empty(0)  # classes of all dreams of a task
        self._dreamers: list[dict[int, int]] = []  # of each, how many a task's memory draws
        self.register_module("old_generator", None)
        self.register_module("old_discriminator", None)

    @property
    def players(self) -> dict[str, nn.Module]:
        """The present task's memory and, where the task ends with a sleep, the long-term one."""
        generator, discriminator, _ = self.memory_of(self.task_index)
        assert discriminator is not None
        found = {"generator": generator, "discriminator": discriminator}
        if self.info is not None and self.info.further_steps:
            found |= {
                LONG + "generator": self.generator,
                LONG + "discriminator": self.discriminator,
            }
        return found

    def further_steps(self, info: TaskInfo) -> int:
        """Return the steps of a sleep, if the task ends with one."""
        tasks = info.index + 1 - self.consolidated
        last = self.final_sleep and info.index + 1 == len(info.task_classes)
        return (self.sleep_steps or info.steps * tasks) if tasks >= self.n_stm or last else 0

    def begin_task(self, info: TaskInfo) -> None:
        """Start a short-term memory; before a sleep, keep the long-term one as it is."""
        super().begin_task(info)
        self.add_short(info.index)
        counts = torch.bincount(info.images.labels.cpu(), minlength=info.num_classes).tolist()
        self.pictures |= {label: float(counts[label]) for label in info.classes}
        if info.further_steps and self.sleeps:
            self.old_generator = copy.deepcopy(self.generator).requires_grad_(False)
            if not self.asks:
                self.old_discriminator = copy.deepcopy(self.discriminator).requires_grad_(False)

    def end_task(self, info: TaskInfo) -> None:
        """Empty the short-term memories after a sleep; else keep them as they are."""
        super().end_task(info)
        self.told = {"awake_steps": info.steps, "sleep_steps": info.further_steps}
        if not info.further_steps:
            self.keep_short()
            return
        eta, new = self.share_of_new(), sum(self.pictures.values())
        taken = new if self.n_max is None else min(new, eta * self.n_max)
        self.age |= {label: count * taken / new for label, count in self.pictures.items()}
        self.told |= {"new_share": eta, "age": sum(self.age.values())}
        self.sleeps.append(info.index)
        self.pictures, self.old_generator, self.old_discriminator = {}, None, None
        self.forget_short()

    def schedule(self, batches: list[Batch]) -> Iterator[tuple[str, Batch]]:
        """Yield the present memory's steps while awake, then the long-term one's."""
        assert self.info is not None
        if self.step < self.info.steps:
            short = self.memory_of(self.task_index).generator
            yield from self.objective.schedule(short, batches, self.noise)
            return
        first = (self.step - self.info.steps) * len(batches)
        dreams = [self.dream(first + turn) for turn in range(len(batches))]
        for role, batch in self.objective.schedule(self.generator, dreams, self.noise):
            yield LONG + role, batch

    def loss(self, player: str, batch: Batch) -> Tensor:
        """Return the objective's loss of a memory's networks, the learner's on what it sees."""
        role, prefix = player.removeprefix(LONG), LONG * player.startswith(LONG)
        generator, discriminator = (
            self.players[prefix + p] for p in ("generator", "discriminator")
        )
        if role == "discriminator":
            batch = {**batch, "x": self.seen(generator, batch["x"])}
        batch = {**batch, "fake_y": self.condition(batch["y"])}
        objective = self.objective if self.asks or role != "generator" else self.unlabelled
        return objective.loss(role, generator, discriminator, batch, self.noise)

    def share_of_new(self) -> float:
        """Return eta of the sleep that the short-term memories lead to."""
        new, age = sum(self.pictures.values()), sum(self.age.values())
        return new_share(new, age, self.n_max, len(self.short_generators) * self.kappa)

    def on_fit_start(self) -> None:
        """Choose the classes of all dreams of the task."""
        super().on_fit_start()
        if self.info is not None and self.info.further_steps:
            self.plan_dreams(self.info.batch_size, self.info.further_steps * self.info.draws)

    def plan_dreams(self, size: int, count: int) -> None:
        """Choose the classes of `count` dreams of a global `size`, those of a memory together.

        It is as if all pictures of a sleep were shuffled: each class is drawn by how many it has.
        All of them are chosen and sent to the device at once, so that no step waits.
        """
        eta, shares = self.share_of_new(), dict[int, float]()
        for part, known in ((1 - eta, self.age), (eta, self.pictures)):
            total = sum(known.values())
            shares |= {label: part * pictures / total for label, pictures in known.items()}
        source = torch.Generator().manual_seed(mix(self.seed, "dreams", self.task_index))
        weights, classes = torch.tensor([*shares.values()]), torch.tensor([*shares])
        places = weights.multinomial(size * count, True, generator=source).view(count, size)
        places = places.sort(dim=1).values[:, self.noise.rank :: self.noise.world]
        holders = torch.tensor([*map(self.holder, shares)])
        tasks = holders.unique().tolist()  # in order, as the places are
        sizes = torch.stack([(holders[places] == task).sum(1) for task in tasks], dim=1).tolist()
        self._dreamt = classes[places].to(self.device)
        self._dreamers = [dict(zip(tasks, each, strict=True)) for each in sizes]
        for task in tasks:
            placed(self._dreamer(task).classes, self.device)

    @torch.no_grad()
    def dream(self, turn: int) -> Batch:
        """Return this rank's share of a batch that the memories draw, the `turn`-th of the task."""
        sizes, labels = self._dreamers[turn], self._dreamt[turn]
        z = self.noise.normal(len(labels), noise_length(self.generator))
        parts = zip(sizes, z.split([*sizes.values()]), labels.split([*sizes.values()]), strict=True)
        drawn = [self.draw(self._dreamer(task), *part) for task, *part in parts if len(part[0])]
        images, classes = map(torch.cat, zip(*drawn, strict=True))
        return {"x": images, "y": classes}

    def _dreamer(self, task: int) -> Memory:
        """Return what dreams of a task are drawn by; of -1, the long-term memory as it was."""
        if task >= 0:
            return self.memory_of(task)
        assert self.old_generator is not None
        return Memory(self.old_generator, self.old_discriminator, tuple(self.age))

    def structure(self) -> dict[str, Any]:
        """Add how many pictures were trained on and consolidated."""
        return super().structure() | {"pictures": dict(self.pictures), "age": dict(self.age)}

    def rebuild(self, structure: dict[str, Any]) -> None:
        """Go on counting pictures from there."""
        super().rebuild(structure)
        self.pictures, self.age = dict(structure["pictures"]), dict(structure["age"])

    def parameter_counts(self) -> dict[str, int]:
        """Count all memories as stored, learners too, and as `peak` what the largest sleep held.

        Asleep there is also a frozen copy of what the long-term memory held before, without its
        learner where that labels nothing.
        """
        long, networks = _size(self.generator, self.discriminator), self.short_networks()
        generator = networks.build_generator()
        short = _size(generator, networks.build_discriminator())
        frozen = _size(self.generator) if self.asks else long
        stored, slept = long + len(self.short_generators) * short, self.task_index in self.sleeps
        nights = zip([-1, *self.sleeps], self.sleeps, strict=False)
        asleep = [long + (b - a) * short + frozen * (a >= 0) for a, b in nights]
        trained = _size(generator) + _size(self.generator) * slept
        own = {"trained": trained, "stored": stored, "peak": max(stored, *asleep, 0)}
        return super().parameter_counts() | own

    def report(self) -> dict[str, Any]:
        """Add the steps awake and asleep, and eta and the age of a sleep."""
        return super().report() | {"dual_memory": self.told}


def _size(*networks: nn.Module) -> int:
    return sum(p.numel() for network in networks for p in network.parameters())
