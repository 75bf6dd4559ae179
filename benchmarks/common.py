"""What the benchmarks share: rows of a table, synthetic data, configs, peak memory."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from omegaconf import DictConfig, OmegaConf

from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.images import ImageSplits, TensorImages
from lgan.launch.compose import compose_run
from lgan.methods.base import LifelongGAN
from lgan.seeding import Noise
from lgan.training import build

TRAINERS = {"cpu": "cpu", "cuda": "gpu"}
_device = torch.device("cpu")


@dataclass(frozen=True)
class Row:
    """One measurement.

    Args:
        what: what was measured.
        measured: both sides, with units.
        ratio: median over the repetitions' ratios.
        target: as printed.
        met: whether the target is met; None: it was not measured.
    """

    what: str
    measured: str
    ratio: float
    target: str
    met: bool | None


def render(title: str, rows: Sequence[Row]) -> str:
    """Return a Markdown table of rows."""
    lines = [f"## {title}", "", "| what | measured | ratio | target | |", "|---|---|---:|---|---|"]
    for row in rows:
        verdict = {True: "ok", False: "missed", None: "–"}[row.met]
        lines.append(
            f"| {row.what} | {row.measured} | {row.ratio:.3f} | {row.target} | {verdict} |"
        )
    return "\n".join([*lines, ""])


def spread(ratios: Sequence[float]) -> str:
    """Return the range and number of the repetitions' ratios."""
    return f"{min(ratios):.2f} to {max(ratios):.2f} over {len(ratios)} repetitions"


def synthetic(
    root: str | None = None,
    size: int = 32,
    per_class: int = 128,
    num_classes: int = 10,
    channels: int = 1,
    held_out: int = 1,
) -> ImageSplits:
    """Return random uint8 pictures (channels, size, size).

    Args:
        root: ignored; nothing is read.
        size: height and width.
        per_class: training pictures of each class.
        num_classes: number of classes.
        channels: of a picture.
        held_out: pictures of each class to validate, and as many to test with.
    """
    generator = torch.Generator().manual_seed(0)

    def draw(count: int) -> TensorImages:
        shape = (count * num_classes, channels, size, size)
        pixels = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        return TensorImages(pixels, torch.arange(len(pixels)) % num_classes)

    names = tuple(str(c) for c in range(num_classes))
    return ImageSplits("synthetic", draw(per_class), draw(held_out), draw(held_out), names)


def device() -> torch.device:
    """Return where steps are measured."""
    return _device


def use_device(name: str) -> None:
    """Measure steps on this device from here on: "cpu" or "cuda"."""
    global _device  # noqa: PLW0603  (one for the process, as torch's number of threads)
    _device = torch.device(name)


def build_method(config: DictConfig, datamodule: TaskSequenceDataModule) -> LifelongGAN:
    """Return the config's method, on the device that is measured."""
    method = build.build_method(config, datamodule.image_shape, datamodule.num_classes)
    method.noise = Noise(config.seed, device())
    return method.to(device())


def compose(
    overrides: Sequence[str], size: int, per_class: int, num_classes: int = 10
) -> DictConfig:
    """Return lgan-train's config on the device, with synthetic data in place of the data set's."""
    config = compose_run([f"trainer={TRAINERS[device().type]}", "trust=[benchmarks]", *overrides])
    config.data.splits = OmegaConf.create(
        {
            "_target_": "benchmarks.common.synthetic",
            "_partial_": True,
            "size": size,
            "per_class": per_class,
            "num_classes": num_classes,
        }
    )
    return config


def peak_memory() -> float:
    """Return the process's peak resident memory so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
