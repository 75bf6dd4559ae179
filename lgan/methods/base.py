"""The frame of every method: one training step, two extension points (`schedule` and `loss`).

Fine-tuning (SFT) is this frame and nothing else. A method adds a penalty or a second loss in
`loss`, players or steps in `schedule`, and what it keeps of old tasks in `begin_task`/`end_task`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from lgan import distributed
from lgan.errors import RunError, TrainingDivergedError
from lgan.methods.fit import Trait, check_fit
from lgan.networks.factory import NetworkFactory, noise_length
from lgan.networks.modes import as_in_training, random_devices
from lgan.networks.roles import Translator
from lgan.objectives.base import Batch, Objective
from lgan.objectives.schedule import DataClock, Schedule
from lgan.run.rewinds import Rewinds
from lgan.seeding import Noise, mix


@contextmanager
def frozen(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Switch gradients of the networks' parameters off, and those that were on, on again."""
    live = [p for network in networks for p in network.parameters() if p.requires_grad]
    for parameter in live:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in live:
            parameter.requires_grad_(True)


class LifelongGAN(L.LightningModule):
    """A generator and a discriminator that learn one task after the other.

    Args:
        name: the method's name in tables, as in `method=name`.
        networks: builds the networks, as many as the method needs.
        objective: what the GAN learns; it says whether it has classes or translates pictures.
        optimizer: `parameters -> torch.optim.Optimizer`; called anew for every task.
        rate_schedule: factor of the learning rate (`lgan.objectives.schedule`); None: none.
        seed: training seed; every random number is a function of (seed, purpose, task, step).
        test_mode: how translators draw: "eval", or "paper" (pix2pix's): as in training, with
            dropout and the batch's statistics.

    Raises:
        ConfigError: the method, the objective, the networks or the test mode do not go together.
    """

    declaration: ClassVar[str] = ""
    """The rule of the protocol that the method breaks, printed in every table; "" for none."""
    cumulative_data: ClassVar[bool] = False
    """Whether the method trains on the data of all tasks so far (which breaks the rule)."""
    has_generator: bool = True
    """Whether there is a generator; without one, `generator` is an empty module."""
    has_classifier: bool = True
    """Whether `classify` knows all classes learnt."""
    refuses: ClassVar[dict[Trait, str]] = {}
    """What the method makes no sense with (`lgan.methods.fit`): why, and what to choose instead."""
    noise_rows: int = 1
    """How many rows of noise `generate` takes per image."""
    roles: ClassVar[dict[str, str]] = {}
    """Further kinds of steps in the schedule, and whose optimizer takes them."""

    def __init__(
        self,
        name: str,
        networks: NetworkFactory,
        objective: Objective,
        optimizer: Callable[..., torch.optim.Optimizer],
        seed: int = 0,
        rate_schedule: Schedule | None = None,
        test_mode: str = "eval",
    ) -> None:
        super().__init__()
        self.automatic_optimization, self.test_mode = False, test_mode
        self.name, self.networks, self.objective = name, networks, objective
        self.optimizer, self.seed, self.rate_schedule = optimizer, seed, rate_schedule
        self.generator = networks.build_generator() if self.has_generator else nn.Identity()
        self.discriminator = networks.build_discriminator()
        check_fit(self, objective, (self.generator, self.discriminator))
        self.has_classifier = self.has_classifier and objective.task_kind == "classes"
        told = self.generator if isinstance(self.generator, Translator) else Translator()
        self.code_length, self.directions = told.code_length, tuple(told.halves)
        self.task_index, self.step, self.total_steps = 0, 0, 0
        self._earlier, self._began = 0.0, time.perf_counter()
        self.task_classes: list[tuple[int, ...]] = []
        self.noise = Noise(seed)
        self.losses: dict[str, Tensor] = {}
        self._drops = False
        self.rewinds: Rewinds | None = None
        self._clock: DataClock | None = None

    # ------------------------------------------------------------------ what a method may change

    @property
    def players(self) -> dict[str, nn.Module]:
        """The networks that are trained, by name; each has an optimizer of its own."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def begin_task(self, task: int) -> None:
        """Make room for `task`; called before optimizers and strategy see the parameters.

        Idempotent: a run that resumes inside the task calls it again, and then loads the state.
        """

    def end_task(self, task: int) -> None:
        """Consolidate what was learnt; called once, after the last step of `task`."""

    def schedule(self, batches: list[Batch]) -> Iterator[tuple[str, Batch]]:
        """Yield (player, batch) for each optimizer step of one generator step.

        A role of `roles` may stand for a player: another loss, taken by that player's optimizer.
        """
        yield from self.objective.schedule(self.generator, batches, self.noise)

    def loss(self, player: str, batch: Batch) -> Tensor:
        """Return the loss that `player` (or a role) minimises on `batch`, a scalar."""
        networks = (self.generator, self.discriminator)
        return self.objective.loss(player, *networks, batch, self.noise)

    def generate(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return images (B, C, H, W) in [-1, 1] of classes `labels` (B,).

        Args:
            z: noise (B * noise_rows, z_dim).
            labels: classes (B,), all of them learnt.
        """
        return self.infer(self.generator, z, labels)

    def infer(self, network: nn.Module, z: Tensor, labels: Tensor) -> Tensor:
        """Return the images that a generator of the method's draws, as `test_mode` says.

        The result is a function of the arguments: codes (BicycleGAN) and dropout masks are the
        same in every call. Place i of a batch has always the same code.
        """
        inputs: tuple[Tensor, ...] = (z, labels)
        if self.code_length:
            noise = Noise(self.seed, z.device)
            noise.reseed(self.seed, "codes")
            inputs += (noise.normal(len(z), self.code_length),)
        if self.test_mode == "eval":
            return network(*inputs)
        with torch.random.fork_rng(random_devices(z.device)), as_in_training(network):
            torch.manual_seed(mix(self.seed, "inference"))
            return network(*inputs)

    def network_of(self, task: int) -> nn.Module:
        """Return the network that draws a task's images: called as (z, labels), in eval mode."""
        return self.generator

    def classify(self, images: Tensor) -> Tensor:
        """Return class logits (B, num_classes) of real images (B, C, H, W)."""
        return self.discriminator(images)[1]

    def structure(self) -> dict[str, Any]:
        """Return what the networks look like after the tasks so far, as plain data."""
        return {}

    def rebuild(self, structure: dict[str, Any]) -> None:
        """Make the networks look like `structure`, so that their tensors can be loaded."""

    def parameter_counts(self) -> dict[str, int]:
        """Count numbers: trained in this task, stored to generate, discriminator, all in all."""
        trained = sum(p.numel() for p in self.generator.parameters() if p.requires_grad)
        stored = sum(p.numel() for p in self.generator.parameters())
        return {
            "trained": trained,
            "stored": stored,
            "discriminator": sum(p.numel() for p in self.discriminator.parameters()),
            "total": sum(tensor.numel() for tensor in self.state_dict().values()),
        }

    def report(self) -> dict[str, Any]:
        """Return what the method adds to a finished task's row in results.json, as plain data."""
        return {}

    # ---------------------------------------------------------------------------------- the frame

    @property
    def seconds(self) -> float:
        """Seconds of training in this task, those before a stop included."""
        return self._earlier + time.perf_counter() - self._began

    @property
    def old_classes(self) -> list[int]:
        """Classes of the tasks before the current one, in task order."""
        return [c for classes in self.task_classes[: self.task_index] for c in classes]

    def enter_task(self, task: int, task_classes: list[tuple[int, ...]], total_steps: int) -> None:
        """Set the counters to the start of `task`.

        Args:
            task: index of the task to be learnt.
            task_classes: classes of each task of the sequence.
            total_steps: generator steps of all tasks before.
        """
        self.task_index, self.step, self.total_steps = task, 0, total_steps
        self._earlier = 0.0
        self.task_classes = task_classes
        self.objective.reset()

    def sample(self, labels: Tensor, noise: Noise) -> Tensor:
        """Return images of classes `labels` (B,) from fresh noise."""
        z = noise.normal(len(labels) * self.noise_rows, noise_length(self.generator))
        return self.generate(z, labels)

    def setup(self, stage: str) -> None:
        """Grow for the task that the datamodule has selected, before the strategy wraps."""
        if stage == "fit":
            self.begin_task(self.task_index)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return a fresh optimizer for each player."""
        return [
            self.optimizer([p for p in network.parameters() if p.requires_grad])
            for network in self.players.values()
        ]

    def on_fit_start(self) -> None:
        """Draw noise where the networks are, for the global batch of all ranks."""
        trainer, self._began = self.trainer, time.perf_counter()
        self.noise = Noise(self.seed, self.device, trainer.global_rank, trainer.world_size)
        if self.rate_schedule is not None:
            data = cast(Any, trainer).datamodule
            first = 0 if self.cumulative_data else self.task_index
            tasks = range(first, self.task_index + 1)
            images = sum(len(data.training_images(task)) for task in tasks)
            self._clock = DataClock(images, data.batch_size, data.steps, data.draws)
        self._drops = any(isinstance(module, _DropoutNd) for module in self.modules())
        self.train()

    def training_step(self, batches: list[Batch], batch_idx: int) -> None:
        """Take one generator step and the steps of the other players that belong to it."""
        # After a rewind (`lgan.run.rewinds`) the same steps are taken with other random numbers.
        retry = self.rewinds.attempt(self.task_index, self.step) if self.rewinds else 0
        again = ("retry", retry) if retry else ()
        self.noise.reseed(self.seed, "noise", self.task_index, self.step, *again)
        if self._drops:
            # Dropout draws from torch's own generator; reseeding that is slow, so only here.
            torch.manual_seed(
                mix(self.seed, "dropout", self.noise.rank, self.task_index, self.step, *again)
            )
        self._set_learning_rates(retry)
        found = self.optimizers()  # of a single player Lightning gives no list
        listed = found if isinstance(found, list) else [found]
        optimizers = dict(zip(self.players, listed, strict=True))
        for role, batch in self.schedule(batches):
            player = self.roles.get(role, role)
            others = [network for name, network in self.players.items() if name != player]
            with frozen(others):
                loss = self.loss(role, batch)
                optimizers[player].zero_grad()
                self.manual_backward(loss)
                optimizers[player].step()
            self.losses[role] = loss.detach()
        self.step += 1
        self.total_steps += 1

    def _set_learning_rates(self, retry: int) -> None:
        factor = 1.0
        if self.rate_schedule is not None and self._clock is not None:
            factor = self.rate_schedule(self.step, self._clock)
        elif not retry:
            return
        if retry and self.rewinds is not None:
            factor *= self.rewinds.rate_factor(self.task_index, self.step)
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor

    def check_finite(self, weights: bool = False, limit: float = math.inf) -> None:
        """Raise if a loss, or (on demand) a weight of any player, is no longer finite on any rank.

        Args:
            weights: whether to look at the weights too.
            limit: losses beyond it have exploded and count as not finite.

        Raises:
            TrainingDivergedError: names player, task and step; raised on every rank.
        """
        losses = {name: float(loss) for name, loss in self.losses.items()}
        bad = {
            f"loss of the {name}": f"is {loss:g}"
            for name, loss in losses.items()
            if not (math.isfinite(loss) and abs(loss) <= limit)
        }
        if weights:
            bad |= {
                f"{name}'s {key}": "is not finite"
                for name, network in self.players.items()
                for key, p in network.named_parameters()
                if not torch.isfinite(p).all()
            }
        first = next((f"{what} {how}" for what, how in bad.items()), None)
        found = [what for what in distributed.all_values(first) if what is not None]
        if found:
            raise TrainingDivergedError(
                f"the {found[0]} at task {self.task_index}, step {self.step}; "
                "the last good state is kept. A lower training.learning_rate or a larger "
                "objective.penalty_weight may help."
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add to a checkpoint inside a task what is needed to go on from it."""
        checkpoint["lgan"] = {
            "method": self.name,
            "task": self.task_index,
            "step": self.step,
            "total_steps": self.total_steps,
            "seconds": self.seconds,
            "structure": self.structure(),
            "objective": self.objective.state_dict(),
            # Statistics of a rank's own share of the batches.
            "own_buffers": distributed.differing_buffers(self),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on where a checkpoint inside a task was written.

        Raises:
            RunError: the checkpoint is another method's or another task's.
        """
        state = checkpoint["lgan"]
        if (state["method"], state["task"]) != (self.name, self.task_index):
            raise RunError(
                f"the checkpoint is of method={state['method']}, task {state['task']}; "
                f"this is method={self.name}, task {self.task_index}."
            )
        self.step, self.total_steps = state["step"], state["total_steps"]
        self._earlier = state.get("seconds", 0.0)
        self.objective.load_state_dict(state["objective"])
        own = state.get("own_buffers", [])
        if own and len(own) != distributed.world():
            raise RunError(
                f"the checkpoint was written by {len(own)} processes and batch statistics are each "
                f"one's own; continue with trainer.devices={len(own)}, or remove it: the task then "
                "starts anew."
            )
        checkpoint["state_dict"] |= own[distributed.rank()] if own else {}

    def border_state(self) -> dict[str, Any]:
        """Return what a finished task leaves behind: structure, then tensors."""
        return {
            "method": self.name,
            "task": self.task_index,
            "total_steps": self.total_steps,
            "structure": self.structure(),
            "state": self.state_dict(),
        }

    def load_border_state(self, state: dict[str, Any]) -> None:
        """Load what `border_state` returned.

        Raises:
            RunError: the state is another method's.
        """
        if state["method"] != self.name:
            raise RunError(
                f"the checkpoint is of method={state['method']} and cannot be loaded into "
                f"method={self.name}."
            )
        self.rebuild(state["structure"])
        self.load_state_dict(state["state"])
        self.task_index, self.total_steps = state["task"], state["total_steps"]
