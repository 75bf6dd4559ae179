"""Images of a finished run's classes: drawn, and written as PNG files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.utils import save_image

from lgan.errors import ConfigError, RunError
from lgan.files import file_names, refuse_existing, staged
from lgan.inference.task_network import class_names, find, find_task
from lgan.methods.base import LifelongGAN
from lgan.metrics.evidence import LARGEST_CALL
from lgan.networks.factory import noise_length
from lgan.seeding import Noise

GRID = "grid.png"


def sample_classes(border: dict[str, Any], task: Any = None, classes: Any = None) -> list[int]:  # noqa: ANN401
    """Return the numbers of classes given by number or name: those of a task, or of all learnt."""
    names = class_names(border)
    if classes is None:
        return list(names if task is None else border["task_classes"][find_task(border, task)])
    if task is not None:
        raise ConfigError(f"task={task} and classes=... cannot be given together; leave one out.")
    asked = classes.tolist() if isinstance(classes, Tensor) else classes
    listed = isinstance(asked, Iterable) and not isinstance(asked, str)
    found = [find("classes", each, names) for each in (asked if listed else [asked])]
    if not found:
        raise ConfigError("classes=[] names no class; leave it out to draw all.")
    return found


@torch.no_grad()
def draw(method: LifelongGAN, classes: list[int], count: int, seed: int) -> Tensor:
    """Return `count` images of each class in turn, (classes * count, C, H, W) in [-1, 1]."""
    if not method.has_generator:
        raise RunError(f"method={method.name} trains a classifier only; choose another run.")
    labels = torch.tensor(classes, device=method.device).repeat_interleave(count)
    most = len(labels) if method.draws_jointly else LARGEST_CALL
    z = Noise(seed).normal(len(labels) * method.noise_rows, noise_length(method.generator))
    calls = zip(z.split(most * method.noise_rows), labels.split(most), strict=True)
    return torch.cat([method.generate(rows.to(labels.device), y).cpu() for rows, y in calls])


def folders_of(border: dict[str, Any], classes: list[int], output: Path) -> list[Path]:
    """Return the folder of each class: the same, whichever other classes are drawn."""
    names = file_names([str(name) for name in border["class_names"]])
    return [output / names[c] for c in classes]


def save_images(images: Tensor, folders: list[Path], output: Path, overwrite: bool = False) -> None:
    """Write uint8 images as PNGs, a folder per class, and a grid, over former ones, or nothing."""
    grid = output / GRID
    refuse_existing((grid, *folders), overwrite)
    former = (path for folder in folders for path in folder.glob("[0-9]" * 5 + ".png"))
    with staged(output, former) as part:
        for folder, rows in zip(folders, images.chunk(len(folders)), strict=True):
            (part / folder.name).mkdir()
            for index, image in enumerate(rows):
                save_image(image.float() / 255, part / folder.name / f"{index:05d}.png")
        nrow = len(images) // len(folders)
        save_image(images.float() / 255, part / GRID, nrow=nrow, padding=1)
