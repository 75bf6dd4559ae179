"""Deep generative replay (Shin et al. 2017): an unconditional GAN or VAE, and a solver that labels.

MeRGAN names neither its solver nor replay ratio: the readings are ours (papers/mergan.md 2.6).
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgan.arguments import Count, Fraction
from lgan.data.images import placed
from lgan.data.tasks import TaskInfo
from lgan.methods.base import LifelongGAN
from lgan.networks.classifiers import SmallCNN
from lgan.networks.factory import NetworkFactory, noise_length
from lgan.networks.growth import Maker
from lgan.objectives.acgan import ACGAN, Batch
from lgan.objectives.vae import VAE


def assign_by_label(predicted: Tensor, requested: Tensor) -> Tensor:
    """Return indices (R,) of images predicted (P >= R,) to be of the classes requested (R,).

    Each image is taken at most once, in order; requests that none is left for get those left over.
    """
    chosen = torch.full_like(requested, -1)
    for label in requested.unique():
        slots = (requested == label).nonzero().flatten()
        images = (predicted == label).nonzero().flatten()[: len(slots)]
        chosen[slots[: len(images)]] = images
    unused = torch.ones_like(predicted, dtype=torch.bool)
    unused[chosen[chosen >= 0]] = False
    empty = chosen < 0
    chosen[empty] = unused.nonzero().flatten()[: int(empty.sum())]
    return chosen


class DGR(LifelongGAN):
    """Replay from an unconditional generator, labelled by the solver of the last task.

    The loss of GAN and solver is ratio * new + (1 - ratio) * replay (Shin et al., Eq. 1). None is
    for a `ratio` of 1 / (number of tasks so far), and for our `solver`, a `SmallCNN` of width 16.
    The solver picks among `noise_rows` images for each that is asked for.
    """

    needs: ClassVar[tuple[str, ...]] = ("one generator for all tasks", "tasks that come one by one")
    lacks: ClassVar[tuple[str, ...]] = ("a generator that is told the class",)
    draws_jointly = True  # images are picked for their labels among all that a call draws
    refuses = {"pictures": "its solver labels classes; choose method=mergan_ra or lifelong_gan."}
    old_generator: nn.Module | None
    old_solver: nn.Module | None

    def __init__(
        self,
        *,
        networks: NetworkFactory,
        objective: ACGAN | VAE,
        solver: Callable[..., nn.Module] | None = None,
        ratio: Fraction | None = None,
        noise_rows: Count = 4,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        objective = copy.copy(objective)
        objective.class_weight = 0.0
        super().__init__(networks=replace(networks, num_classes=1), objective=objective, **kwargs)
        self.num_classes = self.first_classes = networks.num_classes
        self._make_solver = solver or partial(SmallCNN, width=16)
        self.solver = networks.build(self._make_solver, "solver", 0)
        self.ratio, self.noise_rows = ratio, noise_rows
        self.register_module("old_generator", None)
        self.register_module("old_solver", None)

    @property
    def players(self) -> dict[str, nn.Module]:
        """Generator, discriminator and solver."""
        return {**super().players, "solver": self.solver}

    @property
    def growing(self) -> dict[str, Maker]:
        """The solver alone: the GAN knows of no classes."""
        return {"solver": self._make_solver}

    def grow(self, num_classes: int) -> None:
        """Give the solver rows for further classes."""
        networks = self.networks
        super().grow(num_classes)
        self.networks = networks

    def begin_task(self, info: TaskInfo) -> None:
        """Take the scholar of the last task: generator and solver."""
        super().begin_task(info)
        if info.index > 0:
            self.old_generator = copy.deepcopy(self.generator).requires_grad_(False)
            self.old_solver = copy.deepcopy(self.solver).requires_grad_(False)

    def end_task(self, info: TaskInfo) -> None:
        """Drop the old scholar."""
        super().end_task(info)
        self.old_generator = self.old_solver = None

    def schedule(self, batches: list[Batch]) -> Iterator[tuple[str, Batch]]:
        """Yield the objective's steps, then one step of the solver."""
        yield from super().schedule(batches)
        yield "solver", batches[-1]

    def loss(self, player: str, batch: Batch) -> Tensor:
        """Return the loss on new data and replays; a GAN's generator looks at neither."""
        if self.task_index and (player != "generator" or self.objective.autoencodes):
            batch = self.with_replay(batch)
        if player != "solver":
            return super().loss(player, {**batch, "y": self.condition(batch["y"])})
        loss = F.cross_entropy(self.solver(batch["x"]).float(), batch["y"], reduction="none")
        return (batch["weight"] * loss).sum() if "weight" in batch else loss.mean()

    @torch.no_grad()
    def with_replay(self, batch: Batch) -> Batch:
        """Return the batch with as many replays, labelled by the old solver, behind it."""
        assert self.old_generator is not None and self.old_solver is not None
        count = len(batch["y"])
        z = self.noise.normal(count, noise_length(self.generator))
        images = self.old_generator(z, self.condition(batch["y"])).float()
        logits = self.old_solver.eval()(images)  # it labels as it was tested, without dropout
        known = placed(tuple(self.old_classes), logits.device)
        labels = known[logits[:, known].argmax(1)]
        new = 1 / (self.task_index + 1) if self.ratio is None else self.ratio
        weights = [z.new_full((count,), share / count) for share in (new, 1 - new)]
        x, y = torch.cat([batch["x"], images]), torch.cat([batch["y"], labels])
        return {"x": x, "y": y, "weight": torch.cat(weights)}

    def condition(self, labels: Tensor) -> Tensor:
        """Return the only class that the generator knows."""
        return torch.zeros_like(labels)

    def generate(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return images that the solver takes for `labels`, picked from len(z) images."""
        images = self.generator(z, torch.zeros(len(z), dtype=torch.long, device=z.device))
        seen = placed(tuple(self.seen_classes), z.device)
        predicted = seen[self.solver(images)[:, seen].argmax(1)]
        return images[assign_by_label(predicted, labels)]

    def classify(self, images: Tensor) -> Tensor:
        """Return the solver's logits."""
        return self.solver(images)

    def parameter_counts(self) -> dict[str, int]:
        """Count the solver among what must be stored: without it nothing has a class."""
        counts = super().parameter_counts()
        solver = sum(p.numel() for p in self.solver.parameters())
        return counts | {key: counts[key] + solver for key in ("trained", "stored")}
