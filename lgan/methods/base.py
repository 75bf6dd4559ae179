"""The frame of every method; fine-tuning (SFT) is this frame and nothing else.

A method adds a penalty or a second loss in `loss`, players or steps in `schedule`, and what it
keeps of old tasks in `begin_task`/`end_task`.
Each of these calls `super()`, and constructors pass on the arguments that they do not know: methods
combine, as in `class Both(EWCGAN, MeRGANRA)`.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from lgan import distributed
from lgan.arguments import Text, Whole
from lgan.callbacks.base import TaskContext, announce
from lgan.data.tasks import TaskInfo
from lgan.errors import RunError, TrainingDivergedError
from lgan.methods.fit import Declared, check_fit
from lgan.methods.growing import Growing
from lgan.networks.factory import NetworkFactory, noise_length
from lgan.networks.modes import as_in_training, held, moved_by_others, random_devices, repeatable
from lgan.networks.norm import looks_at_batch
from lgan.networks.roles import Translator
from lgan.objectives.base import Batch, Objective
from lgan.objectives.schedule import DataClock, Schedule
from lgan.run.rewinds import Rewinds
from lgan.seeding import Noise, mix


class LifelongGAN(Growing, Declared):
    """A generator and a discriminator that learn one task after the other.

    `lgan.training.runner` trains a sequence of tasks. A plain Trainer trains one, the task that
    the datamodule has open or else its first one; to Lightning a task is one epoch:
    `Trainer(max_epochs=1).fit(method, datamodule=datamodule)`.

    Args:
        optimizer: `parameters -> torch.optim.Optimizer`; called anew for every task.
        rate_schedule: factor of the learning rate (`lgan.objectives.schedule`); None: none.
        seed: every random number is a function of (seed, purpose, task, step).
        test_mode: how translators draw: "eval", or "paper" (pix2pix's): as in training, with
            dropout and the batch's statistics.
    """

    cumulative_data: ClassVar[bool] = False
    """Whether the method trains on the data of all tasks so far (which breaks the rule)."""
    roles: ClassVar[dict[str, str]] = {}
    """Further kinds of steps in the schedule, and whose optimizer takes them."""
    renews_discriminator: bool = False
    """Whether each task starts with a fresh discriminator."""

    def __init__(
        self,
        *,
        name: Text,
        networks: NetworkFactory,
        objective: Objective,
        optimizer: Callable[..., torch.optim.Optimizer],
        seed: Whole = 0,
        rate_schedule: Schedule | None = None,
        test_mode: Literal["eval", "paper"] = "eval",
    ) -> None:
        super().__init__()
        self.automatic_optimization, self.test_mode = False, test_mode
        self.name, self.networks, self.objective = name, networks, objective
        self.optimizer, self.seed, self.rate_schedule = optimizer, seed, rate_schedule
        self.num_classes = self.first_classes = networks.num_classes
        self.generator = networks.build_generator() if self.has_generator else nn.Identity()
        self.discriminator = networks.build_discriminator()
        check_fit(self, objective, self.generator, self.discriminator)
        told = self.generator if isinstance(self.generator, Translator) else Translator()
        self.code_length, self.directions = told.code_length, tuple(told.halves)
        self.noise_rows = 1  # that `generate` takes per image
        self.task_classes: list[tuple[int, ...]] = []
        self.noise, self.rewinds = Noise(seed), Rewinds()
        self.losses: dict[str, Tensor] = {}
        self._drops = False
        self.info: TaskInfo | None = None  # of the task that was begun and has not ended
        self._alone = False  # with a plain Trainer
        self._clock: DataClock | None = None

    # ------------------------------------------------------------------ what a method may change

    @property
    def players(self) -> dict[str, nn.Module]:
        """The networks that are trained, by name; each has an optimizer of its own."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def further_steps(self, info: TaskInfo) -> int:
        """Return how many steps a task takes behind those that are set, as it is opened."""
        return 0

    def begin_task(self, info: TaskInfo) -> None:
        """Make ready for a task, before optimizers and strategy see the parameters.

        The method's callbacks have made room for it. A run that resumes then loads the state.
        """
        self.info, self.task_index, self.step = info, info.index, 0
        self.reset_clocks()
        self.task_classes = list(info.task_classes)
        self.objective.reset()
        if self.has_rows and info.num_classes > self.num_classes:
            self.grow(info.num_classes)
        if self.renews_discriminator:
            self.discriminator = self.networks.build_discriminator(info.index).to(self.device)
        if self.rate_schedule is not None:
            self._clock = DataClock(len(info.images), info.batch_size, info.steps, info.draws)

    def end_task(self, info: TaskInfo) -> None:
        """Keep what later tasks need, and drop what only this one did: what is left is saved.

        It is called once; the callbacks that the method brings fix afterwards what was learnt.
        """
        self.info = None

    def configure_callbacks(self) -> list[L.Callback]:
        """Return the callbacks that the method brings; at borders they act before all others."""
        return []

    def rules_broken(self) -> list[str]:
        """Return the rules of the protocol that the method breaks."""
        return []

    @property
    def draws_jointly(self) -> bool:
        """Whether an image depends on what else is drawn in the same call of `generate`."""
        return looks_at_batch(self.generator)

    @property
    def declaration(self) -> str:
        """The rules that the method breaks, as printed in every table; "" for none."""
        return "; ".join(self.rules_broken())

    def condition(self, labels: Tensor) -> Tensor:
        """Return what `generator` takes for classes (B,)."""
        return labels

    def schedule(self, batches: list[Batch]) -> Iterator[tuple[str, Batch]]:
        """Yield (player or role of `roles`, batch) for each optimizer step of a generator step."""
        yield from self.objective.schedule(self.generator, batches, self.noise)

    def loss(self, player: str, batch: Batch) -> Tensor:
        """Return the loss that `player` (or a role) minimises on `batch`, a scalar."""
        return self.objective.loss(player, self.generator, self.discriminator, batch, self.noise)

    def generate(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1] of learnt classes (B,) from z (B * rows, z_dim)."""
        return self.infer(self.generator, z, labels)

    def infer(self, network: nn.Module, z: Tensor, labels: Tensor) -> Tensor:
        """Return the images that a generator of the method's draws, as `test_mode` says.

        Codes (BicycleGAN; by place in the batch) and dropout masks are the same in every call.
        """
        inputs: tuple[Tensor, ...] = (z, labels)
        if self.code_length:
            noise = Noise(self.seed, z.device)
            noise.reseed(self.seed, "codes")
            inputs += (noise.normal(len(z), self.code_length),)
        with repeatable():
            if self.test_mode == "eval":
                return network(*inputs).float()
            with torch.random.fork_rng(random_devices(z.device)), as_in_training(network):
                torch.manual_seed(mix(self.seed, "inference"))
                return network(*inputs).float()

    def network_of(self, task: int) -> nn.Module:
        """Return the network that draws a task's images: called as (z, labels), in eval mode."""
        return self.generator

    def classify(self, images: Tensor) -> Tensor:
        """Return class logits (B, num_classes) of real images (B, C, H, W)."""
        return self.discriminator(images)[1]

    @property
    def other_heads(self) -> Mapping[str, Callable[[Tensor], Tensor]]:
        """Further classifiers like `classify`, by name; their accuracies are told beside its."""
        return {}

    @property
    def has_classifier(self) -> bool:
        """Whether `classify` tells all classes apart that have been learnt by now."""
        return self.classifies and self.objective.task_kind == "classes"

    def classifier_of(self, task: int) -> Callable[[Tensor], Tensor] | None:
        """Return what gives class logits as `classify` does, once the task is told; None: none."""
        return None

    def learnt_at(self, task: int) -> int:
        """Return the border since which the same network draws a task's images."""
        return task

    def parameter_counts(self) -> dict[str, int]:
        """Count numbers, as a task's end finds them.

        `trained`: those of the generator's that the task's optimizer may move; `stored`: what must
        be kept to draw all tasks so far; `full`: one plain generator per task; `discriminator`; and
        `total`: all of the state.
        """
        kept, plain = list(self.generator.parameters()), replace(self.networks, pretrained=())
        one = sum(p.numel() for p in plain.build_generator().parameters())
        return {
            "trained": sum(p.numel() for p in kept if p.requires_grad),
            "stored": sum(p.numel() for p in kept),
            "full": (self.task_index + 1) * one,
            "discriminator": sum(p.numel() for p in self.discriminator.parameters()),
            "total": sum(tensor.numel() for tensor in self.state_dict().values()),
        }

    def report(self) -> dict[str, Any]:
        """Return what the method adds to a finished task's row in results.json, as plain data."""
        return {}

    # ---------------------------------------------------------------------------------- the frame

    @property
    def old_classes(self) -> list[int]:
        """Classes of the tasks before the current one, in task order."""
        return [c for classes in self.task_classes[: self.task_index] for c in classes]

    @property
    def seen_classes(self) -> list[int]:
        """Classes of the tasks up to the current one, in task order."""
        return [*self.old_classes, *self.task_classes[self.task_index]]

    def sample(self, labels: Tensor, noise: Noise) -> Tensor:
        """Return images of classes `labels` (B,) from fresh noise."""
        z = noise.normal(len(labels) * self.noise_rows, noise_length(self.generator))
        return self.generate(z, labels)

    def setup(self, stage: str) -> None:
        """With a plain Trainer, begin the task that the datamodule has open, or its first."""
        # What a fit that was broken off has begun is begun again.
        self._alone = stage == "fit" and (self._alone or self.info is None)
        if self._alone:
            data = cast(Any, self.trainer).datamodule
            if data is None:
                raise RunError("fit needs datamodule=...; it trains one of its tasks.")
            info = data.open(data.opened or 0, self.cumulative_data, self.further_steps)
            self._announce("on_task_start", info)
            self.begin_task(info)

    def on_fit_end(self) -> None:
        """With a plain Trainer, end the task."""
        if self._alone and (info := self.info) is not None:
            self.end_task(info)
            self._announce("on_task_end", info)

    def _announce(self, event: str, info: TaskInfo) -> None:
        trainer = cast(Any, self.trainer)
        place = trainer.datamodule, info.index, Path(trainer.default_root_dir)
        announce(event, self.configure_callbacks(), TaskContext(self, *place))

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return a fresh optimizer for each player."""
        return [
            self.optimizer([p for p in network.parameters() if p.requires_grad])
            for network in self.players.values()
        ]

    def on_fit_start(self) -> None:
        """Draw noise where the networks are, for the global batch of all ranks."""
        self.start_clocks()
        trainer = self.trainer
        self.noise = Noise(self.seed, self.device, trainer.global_rank, trainer.world_size)
        self._drops = any(isinstance(module, _DropoutNd) for module in self.modules())
        self.train()

    def training_step(self, batches: list[Batch], batch_idx: int) -> None:
        """Take one generator step and the steps of the other players that belong to it."""
        # After a rewind (`lgan.run.rewinds`) the same steps are taken with other random numbers.
        again = self.rewinds.again(self.task_index, self.step)
        self.noise.reseed(self.seed, "noise", self.task_index, self.step, *again)
        if self._drops:
            # Dropout draws from torch's own generator; reseeding that is slow, so only here.
            place = self.noise.rank, self.task_index, self.step
            torch.manual_seed(mix(self.seed, "dropout", *place, *again))
        self._set_learning_rates()
        self.losses = self.take_steps(batches)
        self.step += 1
        self.total_steps += 1

    # Lightning asks for it in every step.
    training_step.__signature__ = inspect.signature(training_step)  # type: ignore[attr-defined]

    def take_steps(self, batches: list[Batch]) -> dict[str, Tensor]:
        """Take the steps of all players; return the losses of this step, by role, on the device."""
        found = self.optimizers()  # of a single player Lightning gives no list
        listed = found if isinstance(found, list) else [found]
        optimizers = dict(zip(self.players, listed, strict=True))
        losses = {}  # of this step only: not every player learns in each
        self.objective.turn = self.step * len(batches)
        for role, batch in self.schedule(batches):
            player = self.roles.get(role, role)
            with held(moved_by_others(optimizers, player)):
                loss = self.loss(role, batch)
                optimizers[player].zero_grad()
                self.manual_backward(loss)
                optimizers[player].step()
            losses[role] = loss.detach()
            self.objective.turn += role.endswith("discriminator")
        return losses

    def _set_learning_rates(self) -> None:
        factor = self.rewinds.rate_factor(self.task_index, self.step)
        if self.rate_schedule is not None and self._clock is not None:
            factor *= self.rate_schedule(self.step, self._clock)
        elif factor == 1:
            return
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                rate = group.setdefault("initial_lr", float(group["lr"])) * factor
                if isinstance(group["lr"], Tensor):  # read where it is (`lgan.training.graph`)
                    group["lr"].fill_(rate)
                else:
                    group["lr"] = rate

    def read_losses(self) -> dict[str, float]:
        """Return this step's losses by role; the host waits for the device, once for all."""
        if not self.losses:
            return {}
        return dict(zip(self.losses, torch.stack([*self.losses.values()]).tolist(), strict=True))

    def check_finite(self, weights: bool = False, limit: float = math.inf) -> None:
        """Raise, on every rank, if a loss or (if asked) a player's weight is not finite on any.

        A loss whose size is beyond `limit` counts as not finite.
        """
        bad = [
            f"loss of the {name} is {loss:g}"
            for name, loss in self.read_losses().items()
            if not (math.isfinite(loss) and abs(loss) <= limit)
        ]
        if weights:
            bad += [
                f"{name}'s {key} is not finite"
                for name, network in self.players.items()
                for key, p in network.named_parameters()
                if not torch.isfinite(p).all()
            ]
        found = [*filter(None, distributed.all_values(bad[0] if bad else None))]
        if found:
            raise TrainingDivergedError(
                f"the {found[0]} at task {self.task_index}, step {self.step}; "
                "the last good state is kept. A lower training.learning_rate or a larger "
                "objective.penalty_weight may help."
            )
