"""Paired translation tasks in pix2pix's layout: two pictures side by side in each file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lgan.arguments import Count
from lgan.data.decoding import BACKGROUND, Decoder
from lgan.data.found import Broken, Found
from lgan.data.image_folder import check_splits, read_classes
from lgan.data.images import ImageSplits
from lgan.data.pairs import PairFiles
from lgan.data.splitting import limit_per_class
from lgan.data.tasks import task_folders
from lgan.errors import DataError

_LAYOUT = (
    "train/*.jpg and test/*.jpg or val/*.jpg, each file with picture A in its left half and B in "
    "its right half (pix2pix's layout)"
)


def paired_folders(
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
    """Read one folder per task: ``<folder>/{train,val,test}/*``, A left and B right.

    Where only one of val and test exists it is the test part. Nothing is held out of train. For
    `folders` and `tasks` see `task_folders`. Both pictures of a pair become ``(channels, size,
    size)`` as `Decoder` says. The limit keeps the first so many training pairs of each task, in the
    order of their paths. For `broken` see `image_folder`.
    """
    decoder = Decoder(size, channels, fit, background)
    chosen = task_folders(folders, tasks, root, _LAYOUT, ("train",))
    parts: dict[str, list[Path | None]] = {"train": [], "validation": [], "test": []}
    for task in chosen:
        held = [task.folder / part for part in ("test", "val") if (task.folder / part).is_dir()]
        if not held:
            raise DataError(
                f"{task.folder} (task {task.name}) has neither test nor val; it must hold "
                f"{_LAYOUT}."
            )
        parts["train"].append(task.folder / "train")
        parts["validation"].append(held[1] if len(held) == 2 else None)
        parts["test"].append(held[0])
    pairs, found = {}, Found(broken)
    for name, folders_of_part in parts.items():
        files = read_classes(folders_of_part, decoder, found)
        reverse = [task.reverse for task in chosen]
        pairs[name] = PairFiles(files.paths, files.labels, decoder, reverse)
        pairs[name].check()
    train = pairs["train"].subset(limit_per_class(pairs["train"].labels, train_limit_per_class))
    names = tuple(task.name for task in chosen)
    further = pairs["validation"], pairs["test"]
    return check_splits(ImageSplits("paired_folders", train, *further, names, found))
