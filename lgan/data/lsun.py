"""LSUN's scene categories, from folders of pictures."""

from collections.abc import Sequence
from typing import Literal

from lgan.arguments import Count, PartShare, Whole
from lgan.data.decoding import Decoder
from lgan.data.image_folder import from_two_parts, require_folders, root_of
from lgan.data.images import ImageSplits


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
    base = root_of(root, "lsun", layout)
    train, test = ([base / name / part for name in categories] for part in ("train", "val"))
    require_folders("lsun", [*train, *test], base, layout)
    return from_two_parts(
        "lsun", train, test, categories, Decoder(size, 3, fit), train_limit_per_class,
        validation_fraction, seed,
    )  # fmt: skip
