"""Images of a finished run's classes: drawn, and written as PNG files."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.utils import save_image

from lgan.data.images import to_uint8
from lgan.files import file_names, refuse_existing, staged
from lgan.inference.task_network import find_task
from lgan.methods.base import LifelongGAN
from lgan.seeding import Noise

GRID = "grid.png"


def sample_classes(border: dict[str, Any], task: int | str | None) -> list[int]:
    """Return the classes of one task, by index or name, or of all tasks learnt."""
    if task is None:
        return [c for classes in border["task_classes"][: border["task"] + 1] for c in classes]
    return list(border["task_classes"][find_task(border, task)])


@torch.no_grad()
def draw(method: LifelongGAN, classes: list[int], count: int, seed: int) -> Tensor:
    """Return `count` images of each class, uint8 (classes, count, C, H, W)."""
    labels = torch.tensor(classes).repeat_interleave(count)
    return to_uint8(method.sample(labels, Noise(seed))).unflatten(0, (len(classes), count))


def folders_of(border: dict[str, Any], classes: list[int], output: Path) -> list[Path]:
    """Return the folder of each class: the same, whichever other classes are drawn."""
    names = file_names([str(name) for name in border["class_names"]])
    return [output / names[c] for c in classes]


def save_images(images: Tensor, folders: list[Path], output: Path, overwrite: bool = False) -> None:
    """Write images as PNG files, a folder per class, and a grid, over former ones, or nothing."""
    grid = output / GRID
    refuse_existing((grid, *folders), overwrite)
    former = (path for folder in folders for path in folder.glob("[0-9]" * 5 + ".png"))
    with staged(output, former) as part:
        for folder, rows in zip(folders, images, strict=True):
            (part / folder.name).mkdir()
            for index, image in enumerate(rows):
                save_image(image.float() / 255, part / folder.name / f"{index:05d}.png")
        rows = images.flatten(0, 1).float() / 255
        save_image(rows, part / GRID, nrow=images.shape[1], padding=1)
