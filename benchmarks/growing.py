"""DGM: what masks cost, and how a step and the generator grow over ten tasks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median
from typing import cast

import torch
from torch import nn

from benchmarks.common import Row, build_method, compose, device, spread
from benchmarks.steps import method_steps, take_turns
from lgan.layers.growing import GrowingGenerator
from lgan.methods.dgm import DGM
from lgan.training import build

RESERVED = 0.45
"""Share of what is free that a task takes: what DGMw took on MNIST (experiments/dgm)."""
LAZY = 4
"""Critic steps that share one gradient penalty, in the rows that say so."""
AS_CODE = ("method.replay=per_class", "method.replay_source=set")
FASTER = {"dgm_w": 3.0, "dgm_a": 2.0}
"""How many times as fast as with the code's replay a step in task 10 is to be."""
MERGAN = 525_569
"""Parameters of MeRGAN's generator on MNIST, the size that DGMw is to stay below."""


def reserve(generator: GrowingGenerator, source: torch.Generator, share: float = RESERVED) -> None:
    """Let the current task take its share of the free elements, and commit."""
    for masks in generator.masks.values():
        assert masks.embedding is not None
        taken = torch.rand(masks.shapes[-1], generator=source) < share
        masks.embedding.data = (taken.float() * 2 - 1).to(masks.embedding.device)
    generator.commit()


def at_task(name: str, task: int, *overrides: str) -> tuple[DGM, Callable[[], None]]:
    """Return a method that has reached `task`, and what takes one step of it."""
    config = compose(["data=mnist", f"method={name}", "method.settle=0", *overrides], 32, 128)
    datamodule = build.build_datamodule(config)
    method = cast(DGM, build_method(config, datamodule))
    source = torch.Generator().manual_seed(0)
    for index in range(task + 1):
        method.generator.add_task(datamodule.tasks[index].classes)
        method.begin_task(datamodule.open(index))
        if index < task:
            reserve(method.generator, source)

    def protect(player: str) -> None:
        if player == "generator":
            method.generator.protect()
            for masks in method.generator.masks.values():
                masks.compensate(method.top)
            nn.utils.clip_grad_norm_(method.generator.parameters(), method.clip)

    return method, method_steps(method, iter(datamodule.train_dataloader()), protect)


def without_masks(method: DGM) -> Callable[[], None]:
    """Return what takes the same step with the plain network in the generator's place."""
    config = compose(["data=mnist", f"method={method.name}", "method.settle=0"], 32, 128)
    datamodule = build.build_datamodule(config)
    twin = cast(DGM, build_method(config, datamodule))
    twin.begin_task(datamodule.open(0))
    plain = twin.networks.build_generator().to(device())
    # No masks to anneal, record or tax: what is left is classifier, critic and generator.
    plain.masks, plain.committed = {}, 0  # type: ignore[assignment]
    plain.set_scale = lambda scale: None  # type: ignore[assignment]
    twin.generator, twin.sparsity_weight = cast(GrowingGenerator, plain), 0.0
    twin._record_masks = lambda: twin.evolution.append(torch.empty(0))  # type: ignore[method-assign]
    return method_steps(twin, iter(datamodule.train_dataloader()))


def growing_rows(quick: bool) -> list[Row]:
    """Measure steps of DGM against each other, and count the generator's weights."""
    turns = 6 if quick else 20
    rows = []
    for replay, target in (("balanced", 1.3), ("per_class", None)):
        _, first = at_task("dgm_w", 0)
        _, last = at_task("dgm_w", 9, f"method.replay={replay}")
        rows.append(_row(f"dgm_w, replay={replay}: task 10 / task 1", first, last, turns, target))
    method, masked = at_task("dgm_w", 0)
    rows.append(_row("dgm_w / the same without masks", without_masks(method), masked, turns, 1.15))
    rows += [_faster(name, target, 2 if quick else 5) for name, target in FASTER.items()]
    weights = {name: at_task(name, 9)[0].generator.masked_weights() for name in ("dgm_w", "dgm_a")}
    return [*rows, *_sizes(weights)]


def _row(
    what: str,
    first: Callable[[], None],
    second: Callable[[], None],
    turns: int,
    target: float | None,
) -> Row:
    pairs = take_turns(first, second, turns)
    ratios = [b / a for a, b in pairs]
    base, other = (median(side) for side in zip(*pairs, strict=True))
    measured = f"{1e3 * base:.1f} ms, {1e3 * other:.1f} ms; {spread(ratios)}"
    ratio = median(ratios)
    if target is None:
        return Row(what, measured, ratio, "reported", True)
    return Row(what, measured, ratio, f"<= {target}", ratio <= target)


def _faster(name: str, target: float, turns: int) -> Row:
    """Measure as many steps as share a penalty: the code's replay against ours with it."""
    _, code = at_task(name, 9, *AS_CODE)
    _, lazy = at_task(name, 9, f"objective.penalty_every={LAZY}")
    pairs = take_turns(partial(_repeat, lazy), partial(_repeat, code), turns)
    ratios = [slow / fast for fast, slow in pairs]
    ours, theirs = (median(side) / LAZY for side in zip(*pairs, strict=True))
    what = f"{name}, task 10: the code's replay / balanced, penalty_every={LAZY}"
    measured = f"{1e3 * theirs:.1f} ms, {1e3 * ours:.1f} ms; {spread(ratios)}"
    return Row(what, measured, median(ratios), f">= {target}", median(ratios) >= target)


def _repeat(step: Callable[[], None]) -> None:
    for _ in range(LAZY):
        step()


def _sizes(weights: dict[str, int]) -> list[Row]:
    ours, units = weights["dgm_w"], weights["dgm_a"]
    taken = f"every task takes {100 * RESERVED:.0f} % of what is free"
    return [
        Row(f"weights after ten tasks: dgm_w / MeRGAN, {taken}", f"{ours:,}, {MERGAN:,}",
            ours / MERGAN, "< 1", ours < MERGAN),
        Row("weights after ten tasks: dgm_w / dgm_a", f"{ours:,}, {units:,}", ours / units,
            "< 1", ours < units),
    ]  # fmt: skip
