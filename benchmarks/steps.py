"""Time of a training step: under Lightning against bare PyTorch, and late against early tasks."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L  # noqa: N812  (Lightning's own convention)
import torch
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from benchmarks.common import Row, build_method, compose, device, spread
from lgan.callbacks.base import TaskContext, announce
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.images import to_float
from lgan.methods.base import LifelongGAN
from lgan.networks.modes import held, moved_by_others
from lgan.objectives.acgan import Batch
from lgan.reports.paper import quote
from lgan.run import loggers
from lgan.seeding import Noise
from lgan.training import build

METHODS = ("sft", "ewc_gan", "mergan_ra", "mergan_jtr")
OFF = ("evaluation", "samples", "parameters")  # they work at task borders, not in steps


class Interleaved(L.Callback):
    """Take turns inside one fit: `block` steps of the Trainer, `block` steps of a rival.

    What lies between the end of a rival's turn and the start of its next is the whole of the
    Trainer's steps: loader, transfer, training step, every other callback. The first turn of both
    warms up and is not kept.

    Args:
        rival: takes one step.
        block: steps in a turn.
    """

    def __init__(self, rival: Callable[[], None], block: int) -> None:
        self.rival, self.block = rival, block
        self.turns: list[tuple[float, float]] = []
        self._step, self._since = 0, clock()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:  # noqa: ANN401
        """Give the rival its turn after the last step of a block."""
        self._step += 1
        if self._step % self.block:
            return
        now = clock()
        for _step in range(self.block):
            self.rival()
        end = clock()
        if self._step > self.block:
            self.turns.append(((now - self._since) / self.block, (end - now) / self.block))
        self._since = end


def to_device(batches: list[Batch]) -> list[Batch]:
    """Return the loader's batches on the device that is measured, pictures in [-1, 1]."""
    there = [{key: part[key].to(device(), non_blocking=True) for key in part} for part in batches]
    return [{**part, "x": to_float(part["x"])} for part in there]


def bare_steps(method: LifelongGAN, items: Iterator[list[Batch]]) -> Callable[[], None]:
    """Return what takes one step of fine-tuning, written by hand in plain PyTorch.

    Args:
        method: gives networks, losses and optimizers; its own training step is not used.
        items: the loader's items, uint8.
    """
    generator, discriminator = method.generator, method.discriminator
    objective, noise = method.objective, Noise(0, device())
    adam_g = method.optimizer(generator.parameters())
    adam_d = method.optimizer(discriminator.parameters())

    def step() -> None:
        batches = to_device(next(items))
        for batch in batches:
            loss = objective.discriminator_loss(generator, discriminator, batch, noise)
            adam_d.zero_grad()
            loss.backward()
            adam_d.step()
        discriminator.requires_grad_(False)
        loss = objective.generator_loss(generator, discriminator, batches[-1], noise)
        adam_g.zero_grad()
        loss.backward()
        adam_g.step()
        discriminator.requires_grad_(True)

    return step


def framework(
    name: str, overrides: list[str], size: int, block: int, turns: int
) -> tuple[list[tuple[float, float]], str]:
    """Return seconds per step (lgan, bare) of each turn, and what was measured in words.

    Args:
        name: what the networks are called in the table.
        overrides: choose data set and networks.
        size: height and width of the pictures.
        block: steps in a turn.
        turns: turns, the one that warms up not counted.
    """
    steps = block * (turns + 1)
    with tempfile.TemporaryDirectory() as folder:
        off = [f"callbacks.{key}=null" for key in OFF]
        own = [*overrides, *off, "method=sft", "data.num_tasks=1", f"training.steps={steps}"]
        config = compose([*own, f"paths.runs={quote(folder)}"], size, 128)
        datamodule = build.build_datamodule(config)
        method, twin = build_method(config, datamodule), build_method(config, datamodule)
        datamodule.open(0)
        watch = Interleaved(bare_steps(twin, iter(datamodule.train_dataloader())), block)
        context = TaskContext(
            method, datamodule, 0, Path(folder), build.build_entries(config, "logger")
        )
        fit(method, datamodule, context, build.build_entries(config, "callbacks"), watch, config)
    return watch.turns, (
        f"{name}, batch {config.training.batch_size}, critic steps {config.training.critic_steps}"
    )


def fit(
    method: LifelongGAN,
    datamodule: TaskSequenceDataModule,
    context: TaskContext,
    callbacks: list[L.Callback],
    watch: L.Callback,
    config: Any,  # noqa: ANN401
) -> None:
    """Fit the one task as lgan's runner does, with a callback that measures."""
    own = method.configure_callbacks()
    announce("on_task_start", [*own, *callbacks], context)
    method.begin_task(datamodule.info)
    trainer = build.build_trainer_factory(config)(
        callbacks=[*callbacks, watch],
        logger=context.loggers,
        default_root_dir=context.folder,
        enable_progress_bar=any(isinstance(c, ProgressBar) for c in callbacks),
    )
    trainer.fit(method, datamodule=datamodule)
    method.end_task(datamodule.info)
    announce("on_task_end", [*own, *callbacks], context)
    loggers.close(context.loggers, "success")


def framework_rows(quick: bool) -> list[Row]:
    """Measure lgan's training step against a bare loop's."""
    turns = 4 if quick else 12
    pairs, what = framework("mergan32, 1x32x32", ["data=mnist"], 32, 1, turns)
    rows = [_framework_row(what, pairs, 1.05, 0.0)]
    pairs, what = framework("digits MLP, 1x8x8", ["data=digits"], 8, 10, 10 * turns)
    return [*rows, _framework_row(what, pairs, 1.15, 1e-3)]


def _framework_row(what: str, pairs: list[tuple[float, float]], limit: float, slack: float) -> Row:
    ours, bare = (median(side) for side in zip(*pairs, strict=True))
    ratios = [a / b for a, b in pairs]
    ratio, extra = median(ratios), median(a - b for a, b in pairs)
    measured = (
        f"lgan {1e3 * ours:.2f} ms, bare {1e3 * bare:.2f} ms, {1e3 * extra:+.2f} ms per step; "
        f"{spread(ratios)}"
    )
    target = f"<= {limit}" + (f" or <= +{1e3 * slack:g} ms" if slack else "")
    return Row(what, measured, ratio, target, ratio <= limit or extra <= slack)


def task_rows(quick: bool) -> list[Row]:
    """Measure, per method, a step in the last of ten tasks against one in the second."""
    rows = []
    # One critic step where it must be quick: each player's step still counts.
    own = ["data=mnist", f"training.critic_steps={1 if quick else 5}"]
    for name in tqdm(METHODS, desc="tasks", unit="method"):
        early, late = at_task(name, own, 1), at_task(name, own, 9)
        pairs = take_turns(early, late, 4 if quick else 8)
        ratios = [b / a for a, b in pairs]
        second, last = (median(side) for side in zip(*pairs, strict=True))
        measured = f"task 2 {1e3 * second:.0f} ms, task 10 {1e3 * last:.0f} ms; {spread(ratios)}"
        ratio = median(ratios)
        rows.append(Row(name, measured, ratio, "<= 1.1", ratio <= 1.1))
    return rows


def at_task(name: str, overrides: list[str], task: int) -> Callable[[], None]:
    """Return what takes one step of a method that has reached `task`.

    Args:
        name: the method.
        overrides: choose data set and networks.
        task: index of the task.
    """
    fisher = ["method.fisher_samples=2"] if name == "ewc_gan" else []
    config = compose([*overrides, *fisher, f"method={name}"], 32, 128)
    datamodule = build.build_datamodule(config)
    method = build_method(config, datamodule)
    for earlier in range(task):
        info = datamodule.open(earlier)
        method.begin_task(info)
        method.end_task(info)
    method.begin_task(datamodule.open(task))
    return method_steps(method, iter(datamodule.train_dataloader()))


def method_steps(
    method: LifelongGAN,
    items: Iterator[list[Batch]],
    protect: Callable[[str], None] = lambda player: None,
) -> Callable[[], None]:
    """Return what takes one step of any method, as `LifelongGAN.training_step`, no Trainer.

    Args:
        method: inside a task.
        items: the loader's items, uint8.
        protect: what callbacks do before an optimizer's step, given the player.
    """
    optimizers = dict(zip(method.players, method.configure_optimizers(), strict=True))
    method.train()

    def step() -> None:
        batches = to_device(next(items))
        method.objective.turn = method.step * len(batches)
        for role, batch in method.schedule(batches):
            player = method.roles.get(role, role)
            with held(moved_by_others(optimizers, player)):
                loss = method.loss(role, batch)
                optimizers[player].zero_grad()
                loss.backward()
                protect(player)
                optimizers[player].step()
            method.objective.turn += role == "discriminator"
        method.step += 1

    return step


def take_turns(
    first: Callable[[], None], second: Callable[[], None], repetitions: int
) -> list[tuple[float, float]]:
    """Return seconds of each pair of calls, after one pair that warms up."""
    first()
    second()
    return [(seconds(first), seconds(second)) for _ in range(repetitions)]


def seconds(work: Callable[[], Any]) -> float:
    """Return how long a call took."""
    start = clock()
    work()
    return clock() - start


def clock() -> float:
    """Return the time in seconds, once the device has done what it was given."""
    if device().type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def use_one_thread() -> None:
    """Let torch use one CPU thread: ratios are then steadier on a machine that does more."""
    torch.set_num_threads(1)
