"""Images of a finished run's classes: drawn, and written as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.utils import save_image

from lgan.data.images import to_uint8
from lgan.files import safe_name
from lgan.inference.task_network import find_task
from lgan.methods.base import LifelongGAN
from lgan.seeding import Noise


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


def save_images(images: Tensor, names: list[str], output: Path) -> None:
    """Write one PNG per image into a folder per class, and a grid of all."""
    for name, rows in zip(names, images, strict=True):
        folder = output / safe_name(name)
        folder.mkdir(parents=True, exist_ok=True)
        for index, image in enumerate(rows):
            save_image(image.float() / 255, folder / f"{index:05d}.png")
    grid = images.flatten(0, 1).float() / 255
    save_image(grid, output / "grid.png", nrow=images.shape[1], padding=1)
