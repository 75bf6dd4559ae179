"""EWC-GAN: elastic weight consolidation of the generator (Seff et al. 2017; MeRGAN, Eq. 9).

L_G + sum_i (lambda / 2) F_i (theta_i - theta*_i)^2, over the generator's parameters only. The
papers do not say how F is estimated, from how many samples, or whether it accumulates
(papers/mergan.md 2.5): every reading is a knob, and lambda has a meaning only with them. Of a
translator F is estimated on the training inputs of the task just learnt, the only ones that may be
looked at; the score is the mean over the discriminator's patches.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from lgan import distributed
from lgan.arguments import Count, Weight
from lgan.data.images import to_float
from lgan.data.pairs import INPUT, half
from lgan.data.tasks import TaskInfo
from lgan.errors import ConfigError
from lgan.methods.base import LifelongGAN
from lgan.methods.fit import Trait
from lgan.networks.factory import noise_length
from lgan.networks.growth import widened
from lgan.networks.modes import as_in_training, random_devices
from lgan.objectives.base import Batch
from lgan.objectives.translation import is_conditional, patch_mean
from lgan.seeding import Noise, mix


def sample_scores(fisher_mode: str, score: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Return per sample (B,) the quantity whose squared gradient estimates the Fisher matrix.

    D(G(z, c)), its log sigmoid (Seff et al. 2017), or log p(c | G(z, c)) from logits.
    """
    if fisher_mode == "classifier":
        return -F.cross_entropy(logits, labels, reduction="none")
    return F.logsigmoid(score) if fisher_mode == "log_sigmoid" else score


def squared_gradients(scores: Tensor, parameters: list[Tensor], chunk: int = 16) -> Tensor:
    """Return sum_b (d scores_b / d theta)^2 (P,), of each sample, even where the batch couples."""
    total = torch.zeros_like(parameters_to_vector(parameters))
    for rows in torch.eye(len(scores), device=scores.device).split(chunk):
        gradients = torch.autograd.grad(
            scores, parameters, rows, retain_graph=True, is_grads_batched=True, allow_unused=True
        )
        squares = [
            p.new_zeros(p.numel()) if g is None else g.reshape(len(g), -1).square().sum(0)
            for p, g in zip(parameters, gradients, strict=True)
        ]
        total += torch.cat(squares)
    return total


class EWCGAN(LifelongGAN):
    """Fine-tuning with a quadratic anchor (lambda: `ewc_weight`) on weights that old tasks need.

    Args:
        fisher_batch: images that batch statistics are over; of a translator never more than
            training.batch_size, as in training.
        per_sample: square each sample's gradient (by definition), or the mean (cheap, biased).
        accumulate: "last": only the last task's F and weights; "online": F = decay * F + F_new,
            anchored at the latest weights; "separate": one F and anchor for each task.
        fisher_classes: estimate F on images of the "task" just learnt or of all "seen" classes.
    """

    needs: ClassVar[tuple[str, ...]] = ("one generator for all tasks", "tasks that come one by one")
    refuses: ClassVar[dict[Trait, str]] = {
        "autoencoder": "its Fisher information is of a critic's score; choose objective=acgan, or "
        "method=mergan_ra.",
        "composite": "no picture of the first network tells about the second; choose "
        "objective=pix2pix, or method=mergan_ra.",
    }
    fisher: Tensor
    anchor: Tensor

    def __init__(
        self,
        *,
        ewc_weight: Weight = 1e9,
        fisher_mode: Literal["score", "log_sigmoid", "classifier"] = "score",  # see `sample_scores`
        fisher_samples: Count = 1024,
        fisher_batch: Count = 64,
        per_sample: bool = True,
        accumulate: Literal["last", "online", "separate"] = "online",
        decay: Weight = 1.0,
        fisher_classes: Literal["task", "seen"] = "task",
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.ewc_weight, self.decay, self.per_sample = ewc_weight, decay, per_sample
        self.fisher_samples, self.fisher_batch = fisher_samples, fisher_batch
        self.fisher_mode, self.fisher_classes = fisher_mode, fisher_classes
        self.accumulate = accumulate
        self._check_modes()
        self._make_room(0)

    def grow(self, num_classes: int) -> None:
        """Widen the anchors by what new rows start with, of no importance."""
        old, known = self.generator, self.num_classes
        super().grow(num_classes)
        start = parameters_to_vector(self.generator.parameters()).detach()
        for name, rest in (("anchor", start), ("fisher", torch.zeros_like(start))):
            wide = widened(getattr(self, name), old, known, self.generator, rest)
            self.register_buffer(name, wide)

    def loss(self, player: str, batch: Batch) -> Tensor:
        """Return the objective's loss; the generator's with the quadratic penalty."""
        loss = super().loss(player, batch)
        return loss + self.penalty() if player == "generator" and len(self.fisher) else loss

    def penalty(self) -> Tensor:
        """Return sum (lambda / 2) F (theta - theta*)^2, a scalar (MeRGAN, Eq. 9)."""
        theta = parameters_to_vector(self.generator.parameters())
        return 0.5 * self.ewc_weight * (self.fisher * (theta - self.anchor).square()).sum()

    def end_task(self, info: TaskInfo) -> None:
        """Estimate the Fisher information and set the anchor."""
        fresh = self.estimate_fisher(info)[None]
        theta = parameters_to_vector(self.generator.parameters()).detach()[None]
        if self.accumulate == "separate":
            fresh, theta = torch.cat([self.fisher, fresh]), torch.cat([self.anchor, theta])
        elif self.accumulate == "online" and len(self.fisher):
            fresh = self.decay * self.fisher + fresh
        self.fisher, self.anchor = fresh, theta
        super().end_task(info)

    def estimate_fisher(self, info: TaskInfo) -> Tensor:
        """Return the diagonal Fisher information (P,) of the generator's parameters."""
        noise = Noise(self.seed, self.device)
        noise.reseed(self.seed, "fisher", info.index)
        pictures = self.objective.task_kind == "pictures"
        batches = self._pictures(info, noise) if pictures else self._noise(info, noise)
        total = torch.zeros(sum(p.numel() for p in self.generator.parameters()), device=self.device)
        with torch.random.fork_rng(random_devices(self.device)):
            for number, batch in enumerate(batches):
                if number % distributed.world() == distributed.rank():
                    torch.manual_seed(mix(self.seed, "fisher", info.index, number))  # dropout
                    total += self._batch_fisher(*batch)
        return distributed.total_of(total) / self.fisher_samples

    def _noise(self, info: TaskInfo, noise: Noise) -> Iterator[tuple[Tensor, Tensor]]:
        known = self.seen_classes if self.fisher_classes == "seen" else list(info.classes)
        classes = torch.tensor(known, device=self.device)
        labels = classes[torch.arange(self.fisher_samples, device=self.device) % len(classes)]
        z = noise.normal(len(labels), noise_length(self.generator))
        yield from zip(z.split(self.fisher_batch), labels.split(self.fisher_batch), strict=True)

    def _pictures(self, info: TaskInfo, noise: Noise) -> Iterator[tuple[Tensor, Tensor]]:
        inputs = half(info.images, INPUT)
        order = noise.uniform(len(inputs)).argsort().cpu()
        chosen = order[torch.arange(self.fisher_samples) % len(inputs)]
        label = torch.tensor(info.classes[:1], device=self.device)
        for rows in chosen.split(min(self.fisher_batch, info.batch_size)):
            yield to_float(inputs.take(rows).to(self.device)), label.expand(len(rows))

    def _scores(self, z: Tensor, labels: Tensor) -> Tensor:
        if self.objective.task_kind == "classes":
            score, logits = self.discriminator(self.generator(z, self.condition(labels)))
            return sample_scores(self.fisher_mode, score, logits, labels)
        with as_in_training(self.generator, self.discriminator):
            fake = self.generator(z, labels)
            of = F.logsigmoid if self.fisher_mode == "log_sigmoid" else nn.Identity()
            condition = (z,) if is_conditional(self.discriminator) else ()
            return patch_mean(of, self.discriminator(fake, *condition))

    def _check_modes(self) -> None:
        pictures = self.objective.task_kind == "pictures"
        lacking = {"fisher_classes": "seen"} if pictures else {}
        if pictures or self.networks.num_classes == 1:
            lacking["fisher_mode"] = "classifier"
        for key, value in lacking.items():
            if getattr(self, key) == value:
                raise ConfigError(
                    f"method.{key}={value} needs a classifier or inputs of old tasks, and there "
                    "are none where pictures are translated or no class is told; choose another."
                )

    def _batch_fisher(self, z: Tensor, labels: Tensor) -> Tensor:
        parameters: list[Tensor] = list(self.generator.parameters())
        scores = self._scores(z, labels)
        if self.per_sample:
            return squared_gradients(scores, parameters)
        # The squared mean gradient counts for each sample of its batch.
        return squared_gradients(scores.mean()[None], parameters) * len(labels)

    def structure(self) -> dict[str, Any]:
        """Add the number of anchors kept."""
        return super().structure() | {"anchors": len(self.fisher)}

    def rebuild(self, structure: dict[str, Any]) -> None:
        """Make room for the anchors kept."""
        super().rebuild(structure)
        self._make_room(structure["anchors"])

    def _make_room(self, anchors: int) -> None:
        size = sum(p.numel() for p in self.generator.parameters())
        for name in ("fisher", "anchor"):
            self.register_buffer(name, torch.zeros(anchors, size, device=self.device))
