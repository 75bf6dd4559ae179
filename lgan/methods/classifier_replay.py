"""Replays for the classifier on a discriminator alone (Ostapenko et al. 2019; papers/dgm.md, 4)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lgan import distributed
from lgan.arguments import Count, Share
from lgan.data.images import placed, to_float
from lgan.data.memory import ExemplarMemory
from lgan.data.tasks import TaskInfo
from lgan.methods.converted import Converted
from lgan.methods.exemplars import Exemplars
from lgan.methods.fit import Trait
from lgan.networks.factory import noise_length
from lgan.objectives.acgan import Batch
from lgan.seeding import Noise, in_rotation

Draw = Callable[[Tensor, Noise], Tensor]
"""Labels (B,), on the CPU where the device is not to be waited for, and noise to images."""


def in_turn(share: float, step: int, total: int, noise: Noise) -> Tensor:
    """Return (B,) of bool for this rank's rows of `total`: over all steps, every 1 / share-th."""
    rows = torch.arange(noise.rank, total, noise.world, device=noise.device).double()
    places = rows + step * total
    return ((places + 1) * share).floor() > (places * share).floor()


def balanced_labels(classes: Sequence[int], count: int, start: int) -> Tensor:
    """Return `count` labels (count,) that go round the classes, the next call's from `start` on."""
    return torch.tensor(classes)[torch.arange(start, start + count) % max(1, len(classes))]


class StoredReplay:
    """A fixed set of images of each class, made once per task by `draw`, `batch` in one call."""

    @torch.no_grad()
    def __init__(
        self, draw: Draw, classes: Sequence[int], per_class: int, noise: Noise, batch: int = 500
    ) -> None:
        parts = []
        for label in classes:
            labels = torch.full((per_class,), label, device=noise.device)
            parts.append(torch.cat([draw(chunk, noise) for chunk in labels.split(batch)]))
        self.images, self.classes = torch.stack(parts), list(classes)

    def __call__(self, labels: Tensor, noise: Noise) -> Tensor:
        """Return an image of the set for each label (B,)."""
        rows = noise.integers(self.images.shape[1], len(labels))
        places = [self.classes.index(label) for label in labels.tolist()]
        return self.images[placed(tuple(places), rows.device), rows]


@dataclass
class MixedReplay:
    """Images that `draw` makes, exchanged with probability `share` for real ones of the class."""

    draw: Draw
    memory: ExemplarMemory
    share: float

    def __call__(self, labels: Tensor, noise: Noise) -> Tensor:
        """Return an image (B, C, H, W) for each label (B,)."""
        images = self.draw(labels, noise)
        real = noise.uniform(len(labels)) < self.share
        stored = to_float(self.memory.draw_of(labels, noise))
        return torch.where(real[:, None, None, None], stored, images)


class ClassifierReplay(Exemplars, Converted):
    """Replays from the networks of finished tasks, generated or real, for a classifier's steps.

    Args:
        replay: "balanced": one classifier step on a batch in which all classes weigh the same;
            "per_class": t + 1 steps, a whole batch of each old task beside the current one (code).
        replay_source: "fly": replays are drawn when they are needed; "set": for each task a set
            is drawn once, as large per class as the current task (code).
        replay_tasks: from how many old tasks' networks, about, a balanced batch is drawn. Of more,
            tasks take turns in rounds, at whose ends each has had as many replays as the others.
        drawn_share: share of the current classes' rows that the generator draws, too: where only
            current pictures are real, the classifier learns that real ones are current.
        **kwargs: see `Exemplars` and `Converted`.
    """

    needs: ClassVar[tuple[str, ...]] = ("tasks that come one by one",)
    refuses: ClassVar[dict[Trait, str]] = {
        "pictures": "replays need classes; choose method=piggyback_gan, piggyback_mask or per_task."
    }

    def __init__(
        self,
        *,
        replay: Literal["balanced", "per_class"] = "balanced",
        replay_source: Literal["fly", "set"] = "fly",
        replay_tasks: Count = 9,
        drawn_share: Share = 0.0,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.replay, self.replay_source, self.drawn_share = replay, replay_source, drawn_share
        self.replay_tasks = replay_tasks
        self._draw: Draw = self.draw_generated

    def on_fit_start(self) -> None:
        """Prepare the replays."""
        super().on_fit_start()
        self._draw = self.draw_generated
        if not self.task_index:
            return
        assert self.info is not None
        per_class = len(self.info.images) // len(self.info.classes)
        if self.replay_source == "set":
            noise = Noise(0, self.device)
            noise.reseed(self.seed, "replay set", self.task_index)
            self._draw = StoredReplay(self.draw_generated, self.old_classes, per_class, noise)
        if self.memory is not None:
            share = len(self.memory) / len(self.memory.counts) / per_class
            self._draw = MixedReplay(self._draw, self.memory, min(1.0, share))

    def end_task(self, info: TaskInfo) -> None:
        """Drop the task's replays."""
        super().end_task(info)
        self._draw = self.draw_generated

    def classifier_batches(self, batch: Batch) -> Iterator[Batch]:
        """Yield the batches of the classifier's steps that belong to one batch of the task."""
        if self.task_index and self.replay == "per_class":
            yield from self.batches_per_class(batch)
        else:
            yield self.balanced_batch(batch) if self.task_index else batch

    def balanced_batch(self, batch: Batch) -> Batch:
        """Return a batch of the same size in which every class has the same share."""
        everyone = len(batch["y"]) * self.noise.world
        labels = self.balanced_replays(everyone)
        # The last rows of the global batch are replays; of them this rank has its share.
        count, world = len(labels), self.noise.world
        new = everyone - count
        kept = len(range(self.noise.rank, new, world))
        labels = labels[(self.noise.rank - new) % world :: world]
        rows = self._partly_drawn({key: batch[key][:kept] for key in ("x", "y")}, new)
        return self._joined(rows, labels, self.noise.part(count, new))

    def balanced_replays(self, everyone: int) -> Tensor:
        """Return the classes of this step's replays in a global batch of so many rows (CPU)."""
        old, length = self.old_classes, self.round_length(everyone)
        first = self.step - self.step % length
        begin, start, stop, end = (
            self._replays_until(step, everyone)
            for step in (first, self.step, self.step + 1, first + length)
        )
        if length == 1:
            return balanced_labels(old, stop - start, start)
        # The round's replays, put in order of their tasks, of which this step has its part.
        tasks = self.task_classes[: self.task_index]
        turns = in_rotation(tasks, len(tasks), 0, self.seed, "replay tasks", self.task_index, first)
        place = {label: turn for turn, classes in enumerate(turns) for label in classes}
        labels = [old[n % len(old)] for n in range(begin, end)]
        labels.sort(key=place.__getitem__)
        return torch.tensor(labels[start - begin : stop - begin])

    def round_length(self, everyone: int) -> int:
        """Return the steps in which all old tasks have had a turn: 1 up to `replay_tasks`."""
        if self.task_index <= self.replay_tasks or self.replay_source == "set":
            return 1
        images = -(-everyone // max(1, self.replay_tasks - 1))  # parts begin within a task's
        return -(-images * self.task_index // everyone)

    def _replays_until(self, step: int, everyone: int) -> int:
        # A side's parts of a picture add up to whole ones in some steps: where it has less than
        # half a picture, or with more than `replay_tasks` old tasks.
        old, current = len(self.old_classes), len(self.task_classes[self.task_index])
        count = round(everyone * old / (old + current))
        if 0 < count < everyone and self.task_index <= self.replay_tasks:
            return step * count
        return step * everyone - int(step * everyone * current / (old + current))

    def batches_per_class(self, batch: Batch) -> Iterator[Batch]:
        """Yield t + 1 batches of the current data and as much of each old task, shuffled."""
        size = len(batch["y"]) * self.noise.world
        labels = [
            balanced_labels(classes, size, self.step * size)
            for classes in self.task_classes[: self.task_index]
        ]
        batch = self._partly_drawn(batch, size)
        mine = self._joined(batch, distributed.share(torch.cat(labels)), self.noise)
        joined = {key: distributed.gather(rows) for key, rows in mine.items()}
        order = self.noise.whole().uniform(len(joined["y"])).argsort()
        for rows in map(distributed.share, order.split(size)):
            yield {"x": joined["x"][rows], "y": joined["y"][rows]}

    @torch.no_grad()
    def draw_generated(self, labels: Tensor, noise: Noise) -> Tensor:
        """Return generated images (B, C, H, W) of the classes."""
        return self.sample(labels, noise)

    def _partly_drawn(self, batch: Batch, total: int) -> Batch:
        if not self.drawn_share:
            return batch
        drawn = in_turn(self.drawn_share, self.step, total, self.noise)[:, None, None, None]
        self.generator.eval()  # as it draws for evaluation, and the replays
        z = self.noise.part(total).normal(len(batch["y"]), noise_length(self.generator))
        with torch.no_grad():
            images = self.infer(self.network_of(self.task_index), z, batch["y"])
        self.generator.train()
        return {"x": torch.where(drawn, images, batch["x"]), "y": batch["y"]}

    def _joined(self, batch: Batch, labels: Tensor, noise: Noise) -> Batch:
        images, classes = self._draw(labels, noise), placed(tuple(labels.tolist()), self.device)
        return {"x": torch.cat([batch["x"], images]), "y": torch.cat([batch["y"], classes])}
