"""Unpaired translation tasks in CycleGAN's layout: trainA, trainB, testA, testB."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch

from lgan.arguments import Count
from lgan.data.decoding import BACKGROUND, Decoder
from lgan.data.found import Broken, Found
from lgan.data.image_folder import read_classes, warn_of_blank
from lgan.data.images import FileImages, ImageSplits
from lgan.data.pairs import UnpairedImages
from lgan.data.splitting import limit_per_class
from lgan.data.tasks import TaskFolder, task_folders

_PARTS = ("trainA", "trainB", "testA", "testB")
_LAYOUT = f"{', '.join(_PARTS)} with pictures (CycleGAN's layout)"


def unpaired_folders(
    root: str | None = None,
    folders: Sequence[Mapping[str, Any]] = (),
    size: Count = 256,
    fit: Literal["crop", "stretch"] = "stretch",
    train_limit_per_class: Count | None = None,
    tasks: Sequence[str] | None = None,
    background: str = BACKGROUND,
    channels: Literal[1, 3] = 3,
    broken: Broken = "skip",
) -> ImageSplits:
    """Read one folder per task: ``<folder>/{trainA,trainB,testA,testB}/*``.

    There is no validation part. The sides may differ in length. The inputs are side A with
    direction AtoB, side B with BtoA. The arguments are those of `paired_folders`, the limit for
    each side.
    """
    decoder = Decoder(size, channels, fit, background)
    chosen = task_folders(folders, tasks, root, _LAYOUT, _PARTS)
    parts = {"train": train_limit_per_class, "test": None}
    found = Found(broken)
    train, test = (_read(chosen, part, decoder, limit, found) for part, limit in parts.items())
    nothing = FileImages([], torch.empty(0, dtype=torch.int64), decoder)
    names = tuple(task.name for task in chosen)
    no_pairs = UnpairedImages(nothing, nothing)
    return ImageSplits("unpaired_folders", train, no_pairs, test, names, found.end())


def _read(
    tasks: Sequence[TaskFolder], part: str, decoder: Decoder, limit: int | None, found: Found
) -> UnpairedImages:
    sides = []
    for target in (False, True):
        folders = [task.folder / f"{part}{'AB'[task.reverse != target]}" for task in tasks]
        side = read_classes(folders, decoder, found)
        sides.append(side.subset(limit_per_class(side.labels, limit)))
        warn_of_blank(sides[-1], [task.name for task in tasks])
    inputs, targets = sides
    return UnpairedImages(inputs, targets)
