"""ImageNet-50: fifty of ImageNet's classes in small, from folders of pictures."""

from collections.abc import Sequence
from typing import Literal

from lgan.arguments import Count, PartShare, Whole
from lgan.data.decoding import Decoder
from lgan.data.image_folder import class_folders, from_two_parts, require_folders, root_of
from lgan.data.images import ImageSplits
from lgan.errors import ConfigError

ALL_CLASSES = 1000
# DGM's code: these of each of the first five hundreds of the alphabetical list, one after another.
OF_EACH_HUNDRED = (1, 15, 29, 45, 59, 65, 81, 89, 90, 99)
LAYOUT = "train/<wnid>/*.JPEG and val/<wnid>/*.JPEG (ImageNet, one folder per class in both parts)"


def imagenet50(
    root: str | None = None,
    classes: Sequence[str] | None = None,
    size: Count = 32,
    fit: Literal["crop", "stretch"] = "crop",
    train_limit_per_class: Count | None = None,
    validation_fraction: PartShare = 0.0,
    seed: Whole = 0,
) -> ImageSplits:
    """Read chosen classes of ``root/train/<wnid>`` and ``root/val/<wnid>``; val is the test part.

    `classes` are wnids, the names of class folders, in order; null: if ``root/train`` has all 1000,
    the 50 of DGM's code (`paper_classes`), else every folder there, sorted by name. The other
    arguments are those of `image_folder`; the code crops, and holds no validation pictures out.
    """
    base = root_of(root, "imagenet50", LAYOUT)
    require_folders("imagenet50", [base / "train"], base, LAYOUT)
    chosen = choose_classes(class_folders(base / "train"), classes)
    train, test = ([base / part / name for name in chosen] for part in ("train", "val"))
    require_folders("imagenet50", [*train, *test], base, LAYOUT)
    return from_two_parts(
        "imagenet50", train, test, chosen, Decoder(size, 3, fit), train_limit_per_class,
        validation_fraction, seed,
    )  # fmt: skip


def choose_classes(names: Sequence[str], classes: Sequence[str] | None) -> list[str]:
    """Return the classes asked for; by default those of the paper if `names` are all 1000."""
    if classes is None:
        return paper_classes(names) if len(names) == ALL_CLASSES else list(names)
    if not classes or len(set(classes)) < len(classes):
        raise ConfigError(
            f"data.splits.classes={list(classes)} must name each class once and at least one; "
            "null takes the default choice."
        )
    return list(classes)


def paper_classes(names: Sequence[str]) -> list[str]:
    """Return the 50 classes of DGM's code from the 1000 names in alphabetical order."""
    return [names[100 * hundred + i] for hundred in range(5) for i in OF_EACH_HUNDRED]
