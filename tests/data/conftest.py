"""Small pictures for the data tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lgan.data.images import ImageSplits, TensorImages


def counted(classes: int, per_class: int, size: int = 4) -> TensorImages:
    """Pictures whose first pixel is their row, so that a batch tells what it holds."""
    count = classes * per_class
    images = torch.zeros(count, 1, size, size, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(count)
    return TensorImages(images, torch.arange(classes).repeat_interleave(per_class))


@pytest.fixture
def make_images() -> Callable[..., TensorImages]:
    """Return the maker of countable pictures."""
    return counted


@pytest.fixture
def make_splits() -> Callable[..., ImageSplits]:
    """Return a data set function with a given number of classes and pictures per class."""

    def splits(root: str | None = None, classes: int = 4, per_class: int = 8) -> ImageSplits:
        parts = (counted(classes, n) for n in (per_class, 2, 3))
        return ImageSplits("counted", *parts, tuple(f"c{i}" for i in range(classes)))

    return splits


@pytest.fixture
def picture() -> Callable[..., Path]:
    """Return a function that writes one random picture file."""

    def write(
        path: Path, width: int = 9, height: int = 7, mode: str = "RGB", seed: int = 0
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (height, width) if mode == "L" else (height, width, 3)
        pixels = np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    """Return a root with train/{2,10}, ten pictures each, grey and RGB, of odd sizes."""
    for name in ("2", "10"):
        for i in range(10):
            where = tmp_path / "set" / "train" / name / f"{i}.png"
            picture(where, 6 + i, 15 - i, "L" if i % 2 else "RGB", seed=i + int(name))
    return tmp_path / "set"
