"""Dynamic Generative Memory (Ostapenko et al., CVPR 2019, arXiv 1904.03137): DGMw and DGMa.

What a task's learnt binary mask reserves is never changed again, and the generator grows by it; a
classifier on the discriminator's trunk learns all classes from replays. Paper and code differ
(papers/dgm.md 2, 3, 6): both can be had. Past tasks' masks are binary: their images keep all bits.
"""

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, ClassVar, Literal, cast

import lightning as L
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lgan.arguments import Number, PartShare, Positive, Weight
from lgan.callbacks.masks import CumulateMasks, ExpandLayers
from lgan.data.images import placed
from lgan.data.tasks import TaskInfo
from lgan.layers import growing
from lgan.layers.growing import GrowingGenerator, Settings, code_rule, disk_bytes, paper_rule
from lgan.layers.masks import Annealing, sparsity
from lgan.methods.classifier_replay import ClassifierReplay
from lgan.networks.dgm import init_weights
from lgan.networks.modes import having
from lgan.objectives.acgan import ACGAN, Batch

BINS = 10


def fixed_statistics(network: nn.Module) -> AbstractContextManager[None]:
    """Leave the running statistics of batch norms as they are."""
    return having((m for m in network.modules() if isinstance(m, _BatchNorm)), momentum=0.0)


class DGM(ClassifierReplay):
    """What DGMw and DGMa share.

    Args:
        sparsity_ratio: alpha, by which it grows: units now over those at the start ("units", the
            digits' code), the same of "weights" (ImageNet's), or 1 ("none").
        expansion: "code" (the wider input counts as free room) or "paper" (it does not).
        embedding_start: embeddings of later tasks before training, in units of 1 / s_max; 0
            (digits) or 6 (ImageNet's code).
        generator_class_weight: of the classifier's loss in the generator's; null: 1 where a task
            has several classes (which no mask tells apart), else 0.
        reset_discriminator: a task starts with a fresh one (digits), or a fresh score (ImageNet).
        statistics: whose batches the running statistics of the discriminator follow: "classifier"
            or "all", critic's and generator's steps too (code); only the classifier reads them.
        settle: share of a task's steps, its last ones, in which only the classifier learns. As the
            critic moves the trunk its accuracy swings by tens of points (papers/dgm.md 6.4; the
            code, with 0, picks the best epoch by real data instead).
    """

    generator: GrowingGenerator
    roles: ClassVar[dict[str, str]] = {"classifier": "discriminator"}
    varies = "its masks sharpen from step to step, and then stay"

    def __init__(
        self,
        *,
        annealing: Annealing,
        sparsity_weight: Weight = 0.0,  # lambda_RU
        sparsity_ratio: Literal["units", "weights", "none"] = "units",
        expansion: Literal["code", "paper"] = "code",
        new_weights: Literal["normal", "xavier"] = "normal",  # of an expansion, at first
        embedding_start: Number = 0.0,
        generator_class_weight: Weight | None = None,
        reset_discriminator: bool = True,
        statistics: Literal["classifier", "all"] = "classifier",
        settle: PartShare = 0.1,
        clip: Positive = 1e4,  # largest norm of the generator's gradient, after the compensation
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.annealing, self.settle, self.clip = annealing, settle, clip
        self.sparsity_weight, self.sparsity_ratio = sparsity_weight, sparsity_ratio
        self.statistics, self.renews_discriminator = statistics, reset_discriminator
        self.generator_class_weight = generator_class_weight
        settings = Settings(
            fill=partial(init_weights, how=new_weights),
            start=embedding_start / annealing.scale,
            rule={"code": code_rule, "paper": paper_rule}[expansion],
            seed=self.seed,
        )
        self.generator = self.convert(self.generator, settings)
        self._start_size = self._size()
        self.top, self.task_steps = 1.0, 1
        self.evolution: list[Tensor] = []

    def convert(self, network: nn.Module, settings: Settings) -> GrowingGenerator:
        """Return a plain generator under masks."""
        raise NotImplementedError

    def configure_callbacks(self) -> list[L.Callback]:
        """Add those that widen the generator, protect it and binarise its masks."""
        return [*super().configure_callbacks(), ExpandLayers(), CumulateMasks()]

    def begin_task(self, info: TaskInfo) -> None:
        """Start the discriminator anew, or its score."""
        super().begin_task(info)
        self.evolution, self.task_steps = [], info.steps
        if info.index and not self.renews_discriminator:
            fresh = self.networks.build_discriminator(info.index).to(self.device)
            self.discriminator.score = fresh.score

    def end_task(self, info: TaskInfo) -> None:
        """Record the masks as the last step left them; `CumulateMasks` binarises them."""
        # The scale is in no checkpoint; a run may have gone on from the one after the last step.
        steps = self.adversarial_steps
        self.generator.set_scale(self.annealing.at(steps - 1, steps)[1])
        self._record_masks()
        super().end_task(info)

    def schedule(self, batches: list[Batch]) -> Iterator[tuple[str, Batch]]:
        """Yield the classifier's steps, then critic's and generator's (papers/dgm.md, 4.3)."""
        adversarial = self.step < self.adversarial_steps
        if adversarial:
            self._anneal()
        for batch in batches:
            for part in self.classifier_batches(batch):
                yield "classifier", part
            if adversarial:
                yield "discriminator", batch
        if adversarial:
            yield "generator", batches[-1]

    @property
    def adversarial_steps(self) -> int:
        """Number of a task's steps before the classifier settles."""
        return max(1, round(self.task_steps * (1 - self.settle)))

    def loss(self, player: str, batch: Batch) -> Tensor:
        """Return the classifier's cross entropy, the critic's or the generator's loss."""
        if player == "classifier":
            return F.cross_entropy(self.score_seen(batch["x"])[1], batch["y"])
        fixed = self.statistics == "classifier"
        objective = copy.copy(cast(ACGAN, self.objective))
        objective.class_weight = self._class_weight() if player == "generator" else 0.0
        with fixed_statistics(self.discriminator) if fixed else nullcontext():
            loss = objective.loss(player, self.generator, self.score_seen, batch, self.noise)
        if player == "generator" and self.sparsity_weight:
            regulariser = sparsity(self.generator.masks.values())
            loss = loss + self.sparsity_weight * self.alpha() * regulariser
        return loss

    def score_seen(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores and logits; those of classes not seen yet, -inf, are in no softmax."""
        score, logits = self.discriminator(images)
        seen = placed(tuple(self.seen_classes), logits.device)
        mask = torch.full(logits.shape[1:], -torch.inf, device=logits.device)
        return score, logits + mask.index_fill_(0, seen, 0.0)

    def alpha(self) -> float:
        """Return alpha, the size of the generator now over its size at the start."""
        return 1.0 if self.sparsity_ratio == "none" else self._size() / self._start_size

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Compensate the embeddings' gradients, then clip the generator's."""
        super().on_before_optimizer_step(optimizer)
        if optimizer is not self.trainer.optimizers[0]:
            return
        for masks in self.generator.masks.values():
            masks.compensate(self.top)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, self.clip)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what was recorded of the masks."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["lgan"]["evolution"] = [fractions.tolist() for fractions in self.evolution]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Load what was recorded of the masks."""
        super().on_load_checkpoint(checkpoint)
        self.evolution = [*map(torch.tensor, checkpoint["lgan"]["evolution"])]

    def parameter_counts(self) -> dict[str, int]:
        """Count the maskable weights, and the norms and heads of all tasks, apart."""
        weights, rest = self.generator.masked_weights(), self.generator.norms_and_heads()
        return super().parameter_counts() | {
            "trained": self._trained,
            "stored": weights + rest,
            "masked_weights": weights,
            "norms_heads": rest,
        }

    def report(self) -> dict[str, Any]:
        """Return capacity, disk space and the course of the masks over the task."""
        course = [fractions.tolist() for fractions in self.evolution]
        return super().report() | {
            "capacity": self.generator.capacity(),
            "disk": disk_bytes(self.generator),
            "mask_evolution": {
                "epochs": list(range(len(course))),
                "edges": [i / BINS for i in range(BINS + 1)],
                "fractions": course,
                "nonzero": [sum(fractions[BINS // 2 :]) for fractions in course],
            },
        }

    def _class_weight(self) -> float:
        several = float(len(self.task_classes[self.task_index]) > 1)
        return several if self.generator_class_weight is None else self.generator_class_weight

    def _size(self) -> int:
        if self.sparsity_ratio == "weights":
            return self.generator.masked_weights()
        return sum(self.generator.widths.values())

    def _anneal(self) -> None:
        steps = self.adversarial_steps
        if len(self.evolution) <= self.annealing.epoch(self.step, steps):
            # As the last epoch left them: this one's first batches may soften them again.
            if self.step:
                self.generator.set_scale(self.annealing.at(self.step - 1, steps)[1])
            self._record_masks()
        self.top, scale = self.annealing.at(self.step, steps)
        self.generator.set_scale(scale)

    @torch.no_grad()
    def _record_masks(self) -> None:
        values = torch.cat([m.soft().flatten() for m in self.generator.masks.values()])
        counts = torch.histc(values.float(), BINS, 0.0, 1.0)
        self.evolution.append(counts / counts.sum())


class DGMw(DGM):
    """DGM with a mask for every weight."""

    def convert(self, network: nn.Module, settings: Settings) -> GrowingGenerator:
        """Return the generator under masks of weights."""
        return growing.WeightMaskedGenerator(network, settings)


class DGMa(DGM):
    """DGM with a mask for every unit (HAT), after the ReLU; leak="paper": before the norm."""

    def __init__(self, *, leak: Literal["none", "paper"] = "none", **kwargs: Any) -> None:  # noqa: ANN401
        self._leaks = leak == "paper"
        super().__init__(**kwargs)

    def convert(self, network: nn.Module, settings: Settings) -> GrowingGenerator:
        """Return the generator under masks of units."""
        return growing.UnitMaskedGenerator(network, settings, self._leaks)
