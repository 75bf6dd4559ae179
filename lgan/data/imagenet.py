"""ImageNet-50: fifty of ImageNet's classes in small, from folders of pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lgan.arguments import Count, PartShare, Whole
from lgan.data.decoding import Decoder
from lgan.data.found import Found
from lgan.data.image_folder import check_splits, class_folders, hold_out_files, read_classes
from lgan.data.images import ImageSplits
from lgan.data.splitting import limit_per_class
from lgan.errors import ConfigError, DataError

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
    if root is None:
        raise DataError(
            f"data.root=null: imagenet50 needs the folder that holds {LAYOUT}; set "
            "data.root=/path/to/it."
        )
    base, decoder = Path(root).expanduser(), Decoder(size, 3, fit)
    _require_folder(base / "train", base)
    chosen = choose_classes(class_folders(base / "train"), classes)
    for part in ("train", "val"):
        for name in chosen:
            _require_folder(base / part / name, base)
    found = Found()
    train = read_classes([base / "train" / name for name in chosen], decoder, found)
    train = train.subset(limit_per_class(train.labels, train_limit_per_class))
    train, validation = hold_out_files(train, validation_fraction, seed)
    test = read_classes([base / "val" / name for name in chosen], decoder, found)
    return check_splits(ImageSplits("imagenet50", train, validation, test, tuple(chosen), found))


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


def _require_folder(folder: Path, base: Path) -> None:
    if not folder.is_dir():
        raise DataError(f"imagenet50: {folder} is absent; data.root={base} must hold {LAYOUT}.")
