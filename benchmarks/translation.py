"""Translation: Piggyback GAN's step against Full's, exported networks, and lgan against a loop."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from benchmarks.common import Row, compose, spread
from benchmarks.steps import OFF, Interleaved, fit, take_turns
from lgan.callbacks.base import TaskContext
from lgan.data.images import ImageSplits, TensorImages
from lgan.layers.execution import Mode
from lgan.layers.filter_bank import BankSettings, FactorisedTranslator
from lgan.networks.patchgan import PatchGAN
from lgan.networks.resnet_translator import ResnetTranslator
from lgan.networks.unet import UnetGenerator
from lgan.reports.paper import quote
from lgan.training import build

Step = Callable[[], None]
Batch = tuple[Tensor, Tensor]
"""Input and target pictures."""
TASK = 3
"""Index of the task whose step is measured, the fourth: three slabs in each bank."""


def synthetic_pairs(
    root: str | None = None, size: int = 64, per_class: int = 32, num_classes: int = 1
) -> ImageSplits:
    """Return random pairs of one translation task, uint8 (6, size, size).

    Args:
        root: ignored; nothing is read.
        size: height and width.
        per_class: training pairs.
        num_classes: ignored; `benchmarks.common.compose` sets it.
    """
    generator = torch.Generator().manual_seed(0)

    def draw(count: int) -> TensorImages:
        shape = (count, 6, size, size)
        pixels = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        return TensorImages(pixels, torch.zeros(count, dtype=torch.int64))

    return ImageSplits("synthetic", draw(per_class), draw(1), draw(1), ("translation",))


def bare_steps(generator: nn.Module, discriminator: nn.Module, pairs: Iterator[Batch]) -> Step:
    """Return what takes one step of pix2pix, written by hand in plain PyTorch.

    Args:
        generator: only what requires a gradient is trained.
        discriminator: of pairs.
        pairs: endless.
    """
    live = [p for p in generator.parameters() if p.requires_grad]
    adam_g = torch.optim.Adam(live, lr=2e-4, betas=(0.5, 0.999))
    adam_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def judge(pictures: Tensor, inputs: Tensor, real: bool) -> Tensor:
        scores = discriminator(pictures, inputs)
        return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, float(real)))

    def step() -> None:
        inputs, targets = next(pairs)
        fake = generator(inputs)
        loss = 0.5 * (judge(targets, inputs, True) + judge(fake.detach(), inputs, False))
        adam_d.zero_grad()
        loss.backward()
        adam_d.step()
        discriminator.requires_grad_(False)
        loss = judge(fake, inputs, True) + 100 * (fake - targets).abs().mean()
        adam_g.zero_grad()
        loss.backward()
        adam_g.step()
        discriminator.requires_grad_(True)

    return step


def at_task(
    plain: nn.Module, task: int, execution: Mode = "auto", size: float | None = 3.0
) -> FactorisedTranslator:
    """Return a Piggyback generator that has reached `task`, with a share of 1/4."""
    generator = FactorisedTranslator(plain, BankSettings(execution=execution, size=size))
    for index in range(task + 1):
        generator.add_task([index])
        if index < task:
            generator.commit()
    return generator.train()


def step_of(generator: nn.Module, size: int) -> Step:
    """Return what takes a step of a generator and its discriminator, batch 1."""
    pictures = torch.rand(2, 1, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    discriminator = PatchGAN((3, size, size), 1, conditional=True)
    return bare_steps(generator, discriminator, repeat((pictures[0], pictures[1])))


def piggyback(
    make: Callable[..., nn.Module], size: int, turns: int, execution: Mode = "auto"
) -> list[tuple[float, float]]:
    """Return seconds of each pair of steps (Full, Piggyback GAN in the fourth task)."""
    full = step_of(make((3, size, size), 1), size)
    return take_turns(
        full, step_of(at_task(make((3, size, size), 1), TASK, execution), size), turns
    )


def later_tasks(turns: int, task: int, **bank: Any) -> list[tuple[float, float]]:  # noqa: ANN401
    """Return seconds forward and backward of each pair (second task, `task`): network=unet64."""
    pictures = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def passes(generator: nn.Module) -> Step:
        def run() -> None:
            generator.zero_grad()
            generator(pictures).square().mean().backward()

        return run

    second, later = (
        passes(at_task(UnetGenerator((3, 64, 64), 1, ngf=16, downs=6), t - 1, **bank))
        for t in (2, task)
    )
    return take_turns(second, later, turns)


def exported(make: Callable[..., nn.Module], size: int, turns: int) -> list[tuple[float, float]]:
    """Return seconds of each pair of passes (stock network, exported third task)."""
    stock = make((3, size, size), 1).eval()
    baked = at_task(make((3, size, size), 1), TASK).bake(TASK - 1)
    picture = torch.rand(1, 3, size, size) * 2 - 1

    def through(network: nn.Module) -> Step:
        @torch.inference_mode()
        def run() -> None:
            network(picture)

        return run

    return take_turns(through(stock), through(baked), turns)


def framework(size: int, turns: int) -> list[tuple[float, float]]:
    """Return seconds per step (lgan's Full, a bare loop) of each turn, batch 1."""
    downs = size.bit_length() - 1
    own = ["data=photos", "method=full", "training.batch_size=1", f"training.steps={turns + 1}"]
    own += ["network=unet256", f"network.generator.downs={downs}"]
    off = [f"callbacks.{key}=null" for key in OFF]
    with tempfile.TemporaryDirectory() as folder:
        config = compose([*own, *off, f"paths.runs={quote(folder)}"], size, 32)
        config.data.splits._target_ = "benchmarks.translation.synthetic_pairs"
        config.data.augmentation.load_size = size * 286 // 256
        datamodule = build.build_datamodule(config)
        method = build.build_method(config, datamodule.image_shape, datamodule.num_classes)
        datamodule.open(0)
        networks = method.networks

        def pairs() -> Iterator[Batch]:
            for items in iter(datamodule.train_dataloader()):
                batch = datamodule.on_after_batch_transfer(items, 0)[-1]
                yield batch["z"], batch["x"]

        bare = bare_steps(networks.build_generator(), networks.build_discriminator(), pairs())
        watch = Interleaved(bare, 1)
        context = TaskContext(
            method, datamodule, 0, Path(folder), build.build_entries(config, "logger")
        )
        fit(method, datamodule, context, build.build_entries(config, "callbacks"), watch, config)
    return watch.turns


def row(what: str, names: tuple[str, str], pairs: list[tuple[float, float]], limit: float) -> Row:
    """Return a row of the ratios second / first; a limit of 0 stands for none."""
    ratios = [b / a for a, b in pairs]
    first, second = (1e3 * median(side) for side in zip(*pairs, strict=True))
    measured = f"{names[0]} {first:.0f} ms, {names[1]} {second:.0f} ms; {spread(ratios)}"
    ratio = median(ratios)
    target = f"<= {limit}" if limit else "none: for comparison"
    return Row(what, measured, ratio, target, not limit or ratio <= limit)


def translation_rows(quick: bool, side: int = 256) -> list[Row]:
    """Measure Piggyback GAN's training step and what is exported, U-Net and ResNet, batch 1.

    Args:
        quick: fewer repetitions.
        side: of the pictures.
    """
    # The ResNet on 256 pixels even if it must be quick: composing costs the same on any size, by
    # counted operations 1.05 times Full's generator on 256 pixels, but 1.18 times on 128.
    turns = 4 if quick else 10
    unet: Callable[..., nn.Module] = partial(UnetGenerator, downs=side.bit_length() - 1)
    names, where = ("Full", "Piggyback"), f"U-Net, {side} px"
    rows = [
        row(f"step in task 4, {where}", names, piggyback(unet, side, turns), 1.15),
        row(
            f"the same, all composed, {where}",
            names,
            piggyback(unet, side, turns // 2, "compose"),
            0,
        ),
        row(
            f"step in task 4, ResNet 9, {side} px",
            names,
            piggyback(ResnetTranslator, side, turns // 2),
            1.1,
        ),
        row(f"inference, {where}", ("stock", "exported"), exported(unet, side, 3 * turns), 1.02),
    ]
    for task, limit, bank in ((12, 1.25, {}), (62, 2, {}), (12, 0, {"size": None})):
        set_to = "".join(f", bank.{key}={value}" for key, value in bank.items())
        what = f"generator, forward and backward, U-Net 64{set_to}"
        measured = later_tasks(5 * turns, task, **bank)
        rows.append(row(what, ("task 2", f"task {task}"), measured, limit))
    ours = [(bare, lgan) for lgan, bare in framework(side, turns)]
    return [*rows, row(f"Full's step, {where}", ("bare loop", "lgan"), ours, 1.05)]
