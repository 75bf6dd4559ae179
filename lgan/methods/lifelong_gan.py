"""Lifelong GAN: distillation on auxiliary pictures (Zhai et al., ICCV 2019, arXiv 1907.10107).

The translator of task t imitates the frozen one of task t - 1 on inputs and targets (A', B') made
of the current task's, not to contradict learning these; z ~ N(0, 1) (papers/piggyback_gan.md 5).

L_cVAE-KD = |E_t(B') - E_{t-1}(B')| + |G_t(A', E_t(B')) - G_{t-1}(A', E_{t-1}(B'))|
L_cLR-KD  = |G_t(A', z) - G_{t-1}(A', z)| + |E_t(G_t(A', z)) - E_{t-1}(G_{t-1}(A', z))|

The generator's loss is BicycleGAN's + beta (L_cVAE-KD + L_cLR-KD), each |.| a mean. E stands for
the code's mean, so that imitation is not blurred by the encoder's own noise. A translator without
a code (objective=pix2pix) has the reduced |G_t(A') - G_{t-1}(A')|.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from lgan import distributed
from lgan.arguments import Count, Weight
from lgan.errors import ConfigError
from lgan.layers.generator import TaskGenerator
from lgan.layers.per_task import SharedNetwork, SharedTrunk
from lgan.methods.converted import ConvertedGenerator
from lgan.methods.fit import Trait
from lgan.methods.imitation import Snapshot, side_by_side
from lgan.networks.composite import BicycleGenerator
from lgan.objectives.base import Batch
from lgan.seeding import Noise

Pair = tuple[Tensor, Tensor]
Draw = Callable[[nn.Module], tuple[Tensor, ...]]


def montage(inputs: Tensor, targets: Tensor, patch: int, noise: Noise) -> Pair:
    """Return pictures that are tiled from patches of the global batch's, cut at random places.

    Inputs (B, C, H, W) and targets (B, D, H, W) are cut at the same places of the same pair. Tiles
    that stick out at the right or below are clipped.
    """
    count, _, height, width = inputs.shape
    if not 1 <= patch <= min(height, width):
        raise ConfigError(
            f"method.patch={patch} does not fit into pictures of {height}x{width} pixels; give 1 "
            f"to {min(height, width)}."
        )
    grid = (count, -(-height // patch), -(-width // patch))
    sources = [distributed.gather(pictures) for pictures in (inputs, targets)]
    highs = (len(sources[0]), height - patch + 1, width - patch + 1)
    picture, top, left = (noise.integers(high, *grid).flatten() for high in highs)
    first, second = (_tiled(p, grid, patch, picture, top, left) for p in sources)
    return first, second


def _tiled(
    pictures: Tensor, grid: tuple[int, ...], patch: int, picture: Tensor, top: Tensor, left: Tensor
) -> Tensor:
    within = torch.arange(patch, device=pictures.device)
    rows = (top[:, None] + within)[:, :, None]
    columns = (left[:, None] + within)[:, None, :]
    cut = pictures[picture[:, None, None], :, rows, columns]  # (tiles, patch, patch, C)
    count, down, across = grid
    tiled = cut.unflatten(0, grid).permute(0, 5, 1, 3, 2, 4)
    whole = tiled.reshape(count, -1, down * patch, across * patch)
    return whole[:, :, : pictures.shape[2], : pictures.shape[3]]


def swap(inputs: Tensor, targets: Tensor) -> Pair:
    """Return targets as inputs and inputs as targets."""
    if inputs.shape != targets.shape:
        raise ConfigError(
            "method.auxiliary=[swap] exchanges inputs and targets, which need the same shape, not "
            f"{tuple(inputs.shape[1:])} and {tuple(targets.shape[1:])}; use [montage]."
        )
    return targets, inputs


class Distillation(Snapshot, ConvertedGenerator):
    """Lifelong GAN: go on training one translator that imitates itself on auxiliary pictures.

    With last layers of each task, the trunk is distilled under the older tasks' last layers, one
    task's in each step, in turn: the mean over older tasks at the price of one.

    `beta` weighs the distillation on `auxiliary` pictures; a montage's tiles have `patch` pixels a
    side. `last_layers` are "per_task" (Piggyback GAN's baselines) or "shared" (Lifelong GAN).
    """

    refuses: ClassVar[dict[Trait, str]] = {
        "classes": "it distils a translator; choose objective=bicyclegan or pix2pix.",
        "two_way": "it distils one direction; choose objective=bicyclegan or pix2pix.",
    }

    varies = "in each step it imitates another old task"

    def __init__(
        self,
        *,
        beta: Weight = 5.0,
        auxiliary: Sequence[Literal["montage", "swap"]] = ("montage", "swap"),
        patch: Count = 8,
        last_layers: Literal["per_task", "shared"] = "per_task",
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        self._last_layers = last_layers
        super().__init__(**kwargs)
        self.beta, self.patch, self.auxiliary = beta, patch, tuple(auxiliary)
        if not self.auxiliary:
            raise ConfigError("method.auxiliary=[] is empty; use montage, swap or both.")

    def convert(self, network: nn.Module) -> TaskGenerator:
        """Return the generator with last layers for each task, or as a whole for all tasks."""
        kind = SharedTrunk if self._last_layers == "per_task" else SharedNetwork
        return kind(network, "previous", self.seed)

    def loss(self, player: str, batch: Batch) -> Tensor:
        """Return the objective's loss; the generator's with the distillation."""
        loss = super().loss(player, batch)
        if player == "generator" and self.task_index and self.beta:
            loss = loss + self.beta * self.distillation(batch)
        return loss

    def distillation(self, batch: Batch) -> Tensor:
        """Return L_cVAE-KD + L_cLR-KD, or the reduced form, on auxiliary pictures; a scalar."""
        draw, task = self._draw(*self.auxiliary_pictures(batch)), self.step % self.task_index
        teacher, student = cast(SharedTrunk, self.snapshot), cast(SharedTrunk, self.generator)
        with teacher.as_task(task), student.as_task(task):
            pairs = side_by_side(draw, teacher, student, self.device)
        distances = [
            (new.float() - old.float()).abs().mean() for old, new in zip(*pairs, strict=True)
        ]
        return sum(distances, torch.zeros(()))

    def auxiliary_pictures(self, batch: Batch) -> Pair:
        """Return inputs A' and targets B', a whole batch of each kind, (kinds * B, C, H, W)."""
        pair = batch["z"], batch["x"]
        made = [
            swap(*pair) if kind == "swap" else montage(*pair, self.patch, self.noise)
            for kind in self.auxiliary
        ]
        return torch.cat([a for a, _ in made]), torch.cat([b for _, b in made])

    def _draw(self, inputs: Tensor, targets: Tensor) -> Draw:
        if not self.code_length:
            labels = torch.full((len(inputs),), self.task_index, device=inputs.device)
            return lambda network: (network(inputs, labels),)  # which look at no label
        random_code = self.noise.normal(len(inputs), self.code_length)

        def draw(network: nn.Module) -> tuple[Tensor, ...]:
            composite = cast(BicycleGenerator, network)
            translator, encoder = composite.translator, composite.encoder
            code = encoder(targets)[0]
            random = translator(inputs, random_code)
            return code, translator(inputs, code), random, encoder(random)[0]

        return draw
