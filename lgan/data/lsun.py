"""LSUN's scene categories, from folders of pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lgan.arguments import Count, PartShare, Whole
from lgan.data.decoding import Decoder
from lgan.data.found import Found
from lgan.data.image_folder import check_splits, hold_out_files, read_classes
from lgan.data.images import ImageSplits
from lgan.data.splitting import limit_per_class
from lgan.errors import DataError


def lsun(
    root: str | None = None,
    categories: Sequence[str] = ("bedroom", "kitchen", "church_outdoor", "tower"),
    size: Count = 64,
    fit: Literal["crop", "stretch"] = "stretch",
    train_limit_per_class: Count | None = 100_000,
    validation_fraction: PartShare = 0.0,
    seed: Whole = 0,
) -> ImageSplits:
    """Read ``root/<category>/train`` and ``root/<category>/val``; val is the test part.

    LSUN's own LMDB files must be exported to pictures first. `categories` are the classes, in this
    order, by default MeRGAN's four tasks. The other arguments are those of `image_folder`: MeRGAN's
    code stretches (a plain imresize), and the paper takes 100,000 training pictures of each
    category and holds none out for validation.
    """
    layout = "<category>/train and <category>/val with pictures (exported from LSUN's LMDB files)"
    if root is None:
        raise DataError(
            f"data.root=null: lsun needs the folder that holds {layout}; set data.root=/path/to/it."
        )
    base, decoder = Path(root).expanduser(), Decoder(size, 3, fit)
    folders = {part: [base / name / part for name in categories] for part in ("train", "val")}
    if absent := [str(path) for part in folders.values() for path in part if not path.is_dir()]:
        raise DataError(
            f"lsun: {absent[0]} is absent; data.root={base} must hold {layout} for each of "
            f"{', '.join(categories)}."
        )
    found = Found()
    train = read_classes(folders["train"], decoder, found)
    train = train.subset(limit_per_class(train.labels, train_limit_per_class))
    train, validation = hold_out_files(train, validation_fraction, seed)
    test = read_classes(folders["val"], decoder, found)
    return check_splits(ImageSplits("lsun", train, validation, test, tuple(categories), found))
