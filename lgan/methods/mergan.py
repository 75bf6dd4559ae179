"""MeRGAN: memory replay GANs (Wu et al., NeurIPS 2018, arXiv 1809.02058).

*Joint training with replay* (JTR) lets the discriminator take a snapshot's images for real. *Replay
alignment* (RA) asks the generator for the snapshot's image of the same noise and class.
Paper and code differ (papers/mergan.md 5.1); `preset=code` and `preset=paper` select the readings.
"""

from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from lgan import distributed
from lgan.arguments import Count, Share, Weight
from lgan.data.images import placed
from lgan.data.tasks import TaskInfo
from lgan.methods.classifier_replay import in_turn
from lgan.methods.fit import Trait
from lgan.methods.imitation import Snapshot, side_by_side
from lgan.networks.composite import CycleGenerator
from lgan.networks.factory import noise_length
from lgan.objectives.base import Batch
from lgan.seeding import in_rotation


class MemoryReplay(Snapshot):
    """What both MeRGANs share: the snapshot and the drawing of replays.

    Args:
        replay_samples: "shared" is floor(B / k) replays of each of the k old classes, at least one
            (the digits in the code), "full" B of each (LSUN in the code).
        replay_classes: most old classes that a step has replays of; None: as many as the batch has
            rows. More take turns, each as often, with more weight: the loss is that of all.
    """

    needs: ClassVar[tuple[str, ...]] = (
        "one generator for all tasks",
        "a generator that is told the class",
        "tasks that come one by one",
    )

    def __init__(
        self,
        *,
        replay_samples: Literal["shared", "full"] = "shared",
        replay_classes: Count | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.replay_samples, self.replay_classes = replay_samples, replay_classes

    def begin_task(self, info: TaskInfo) -> None:
        """Take the snapshot; say whether old classes take turns."""
        super().begin_task(info)
        if len(self.old_classes) > (self.replay_classes or info.batch_size):
            self.varies = "old classes take turns"

    def replay_labels(self, batch_size: int) -> Tensor:
        """Return this rank's share of the classes (m * n,) of replays, n of each replayed class."""
        replayed = placed(tuple(self.replayed_classes(batch_size)), self.device)
        return distributed.share(replayed.repeat_interleave(self.replays_of_each(batch_size)))

    def replayed_classes(self, batch_size: int) -> list[int]:
        """Return the m old classes whose turn it is in this step."""
        old, limit = self.old_classes, self.replay_classes or batch_size * self.noise.world
        if len(old) <= limit:
            return old
        return in_rotation(old, limit, self.step, self.seed, "replay classes", self.task_index)

    def replays_of_each(self, batch_size: int) -> int:
        """Return n, the replays of a class in the global batch of which this is a share."""
        everyone, shared = batch_size * self.noise.world, self.replay_samples == "shared"
        return max(1, everyone // len(self.old_classes)) if shared else everyone

    @torch.no_grad()
    def replay(self, labels: Tensor, total: int) -> tuple[Tensor, Tensor]:
        """Return fresh noise (B, z_dim) and the snapshot's images of it, of all ranks' `total`."""
        assert self.snapshot is not None
        z = self.noise.part(total).normal(len(labels), noise_length(self.generator))
        return z, self.snapshot(z, labels).float()


class MeRGANJTR(MemoryReplay):
    """Joint training with replay (MeRGAN, Sec. 3.1 and Eq. 10-11; the code: papers/mergan.md 2.3).

    For each old class c, x_old = G_old(z, c) plays "real" and G(z, c) "fake", of the same z, in a
    second, weighted loss: one pass over a concatenated batch.

    Args:
        replay_reduction: "sum": each old class weighs as much as each current one (digits in the
            code); "mean": all old classes together weigh as much as the current task (LSUN in the
            code); "mixture": as "sum", scaled to total weight 1, an extended data set (paper).
        drawn_share: share of the current rows whose class the discriminator learns from the
            generated image: where only current pictures are real, it learns just that.
    """

    refuses: ClassVar[dict[Trait, str]] = {
        "pictures": "replays need old inputs; method=mergan_ra aligns on the current ones."
    }

    def __init__(
        self,
        *,
        replay_reduction: Literal["sum", "mean", "mixture"] = "sum",
        penalise_replay: bool = False,  # by the gradient penalty, as the paper and not the code
        drawn_share: Share = 0.0,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.replay_reduction, self.penalise_replay = replay_reduction, penalise_replay
        self.drawn_share = drawn_share
        self.varies = "with method.drawn_share rows take turns" if drawn_share else ""

    def loss(self, player: str, batch: Batch) -> Tensor:
        """Return the objective's loss on the current batch and on replays of old classes."""
        return super().loss(player, self.with_replay(batch) if self.task_index else batch)

    def with_replay(self, batch: Batch) -> Batch:
        """Return the batch with replays behind it, each sample with its weight."""
        count = len(batch["y"])
        labels = self.replay_labels(count)
        # Shares may differ by a replay: each weighs as it does in the global batch.
        total = len(self.replayed_classes(count)) * self.replays_of_each(count)
        z, images = self.replay(labels, total)
        current, old = self.replay_weights()
        old = old * self.noise.world / total
        full = {
            "x": torch.cat([batch["x"], images]),
            "y": torch.cat([batch["y"], labels]),
            "z": torch.cat([self.noise.normal(count, noise_length(self.generator)), z]),
            "weight": torch.cat(
                [z.new_full((count,), current / count), z.new_full((len(z),), old)]
            ),
            "penalised": count + len(z) * self.penalise_replay,
            "penalised_total": count * self.noise.world + total * self.penalise_replay,
        }
        if self.drawn_share:
            drawn = in_turn(self.drawn_share, self.step, count * self.noise.world, self.noise)
            full["drawn"] = torch.cat([drawn, drawn.new_zeros(len(z))])
        return full

    def replay_weights(self) -> tuple[float, float]:
        """Return the weights of the current batch and of all replays together."""
        total = len(self.old_classes) / len(self.task_classes[self.task_index])
        if self.replay_reduction == "mean":
            return 1.0, 1.0
        scale = 1 / (1 + total) if self.replay_reduction == "mixture" else 1.0
        return scale, scale * total


class MeRGANRA(MemoryReplay):
    """Replay alignment (MeRGAN, Eq. 12-13; the code: papers/mergan.md 2.4).

    The discriminator sees current data only; the generator's loss gains `alignment_weight` *
    || G(z, c) - G_old(z, c) ||^2, of images in [-1, 1], with the squares *summed* over pixels. A
    mean over pixels would be 3e4 to 1e5 times weaker, the trap that public ports fell into.

    A translator's z are pictures, and those of old tasks are gone: both are compared on the current
    batch's, one set for all old tasks, without `replay_samples` and `class_reduction`.

    Args:
        alignment: "code": half the sum of squares over pixels and all replays of a class;
            "paper": sum over pixels, mean over replays with c uniform over the old classes.
        class_reduction: with "code": "mean" (digits) or "sum" (LSUN) over old classes.
    """

    def __init__(
        self,
        *,
        alignment_weight: Weight = 1e-3,
        alignment: Literal["code", "paper"] = "code",
        class_reduction: Literal["mean", "sum"] = "mean",
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**kwargs)
        self.alignment_weight = alignment_weight
        self.alignment, self.class_reduction = alignment, class_reduction
        if self.objective.task_kind == "pictures":
            self.varies = "it draws each step's dropout masks twice"

    def loss(self, player: str, batch: Batch) -> Tensor:
        """Return the objective's loss; the generator's with the alignment of old classes."""
        loss = super().loss(player, batch)
        if player != "generator" or not self.task_index:
            return loss
        if self.objective.task_kind == "pictures":
            return loss + self.alignment_weight * self.picture_alignment(batch)
        return loss + self.alignment_weight * self.alignment_loss(len(batch["y"]))

    def picture_alignment(self, batch: Batch) -> Tensor:
        """Return the distance to the snapshot on the batch's inputs (CycleGAN: of both ways)."""
        assert self.snapshot is not None
        z, labels = batch["z"], batch["y"]
        codes = (self.noise.normal(len(z), self.code_length),) if self.code_length else ()

        def draw(network: nn.Module) -> Tensor:
            drawn = [network(z, labels, *codes)]
            if "backward" in self.directions:
                drawn.append(cast(CycleGenerator, network).backward_(batch["x"], labels))
            return torch.cat([images.flatten(1).float() for images in drawn], dim=1)

        target, images = side_by_side(draw, self.snapshot, self.generator, self.device)
        squares = (images - target).square().sum()  # the ranks' mean times `world` is the sum
        return squares / len(z) if self.alignment == "paper" else 0.5 * self.noise.world * squares

    def alignment_loss(self, batch_size: int) -> Tensor:
        """Return the distance of generator and snapshot on replays, a scalar."""
        labels, replayed = self.alignment_labels(batch_size), len(self.replayed_classes(batch_size))
        world, code = self.noise.world, self.alignment == "code"
        total = replayed * self.replays_of_each(batch_size) if code else batch_size * world
        z, target = self.replay(labels, total)
        squares = world * (self.generator(z, labels).float() - target).square().sum()
        if not code:
            return squares / total
        mean = self.class_reduction == "mean"
        return 0.5 * squares / (replayed if mean else replayed / len(self.old_classes))

    def alignment_labels(self, batch_size: int) -> Tensor:
        """Return the classes of the replays: balanced (code) or uniform over old ones (paper)."""
        if self.alignment == "code":
            return self.replay_labels(batch_size)
        old = placed(tuple(self.old_classes), self.device)
        return old[self.noise.integers(len(old), batch_size)]
