"""A user's own pictures: one folder per class below train, val and test."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from lgan.arguments import Count, InnerShare, PartShare, Whole
from lgan.data.decoding import BACKGROUND, Decoder, is_blank
from lgan.data.found import Broken, Found, require_pictures
from lgan.data.images import FileImages, ImageSplits
from lgan.data.splitting import hold_out, limit_per_class
from lgan.errors import DataError, warn_once

_LOOKED_AT = 4  # pictures of each class, for blank ones


def image_folder(
    root: str | None = None,
    size: Count = 32,
    channels: Literal[1, 3] = 3,
    fit: Literal["crop", "stretch"] = "crop",
    validation_fraction: PartShare = 0.1,
    test_fraction: InnerShare = 0.2,
    train_limit_per_class: Count | None = None,
    seed: Whole = 0,
    background: str = BACKGROUND,
    broken: Broken = "skip",
    classes: Sequence[str] | None = None,
    further: Sequence[Mapping[str, Any]] = (),
) -> ImageSplits:
    """Read ``root/train/<class>/**`` and, where they exist, ``root/val`` and ``root/test``.

    With both, they are validation and test part. With one of them, it is the test part and
    validation pictures are held out of train. With none, both are held out of train, the test part
    first: a fraction is a share of each class, and `seed`, independent of the run's, fixes with the
    class's name which.

    Classes are sorted by name, as numbers if all names are numbers. Pictures, whatever size they
    have, become ``(channels, size, size)`` as `Decoder` says. `train_limit_per_class` keeps the
    first so many training pictures of each class, in the order of their paths. Files that are no
    whole pictures are left out, and named, or refused: `broken`.

    `classes` names the class folders that are read, in this order; None: all. `further` has roots
    whose classes come after those, `root` and `classes` each, as `lgan-extend` adds them; of
    classes that came before the last such root the pictures may be gone.
    """
    base, found = root_of(root, "image_folder", "train/<class>/*.png"), Found(broken)
    read = partial(
        _read_root,
        decoder=Decoder(size, channels, fit, background),
        found=found,
        shares=(test_fraction, validation_fraction),
        seed=seed,
    )
    names = class_folders(base / "train") if classes is None else list(classes)
    parts = read(base, names, whole=classes is None, may_lack=bool(further))
    for number, each in enumerate(further, 1):
        added = read(Path(each["root"]), each["classes"], may_lack=number < len(further))
        parts = [_joined(old, new, len(names)) for old, new in zip(parts, added, strict=True)]
        names += each["classes"]
    train, validation, test = parts
    train = train.subset(limit_per_class(train.labels, train_limit_per_class))
    return check_splits(ImageSplits("image_folder", train, validation, test, tuple(names), found))


def root_of(root: str | None, name: str, layout: str) -> Path:
    """Return the folder of a data set; `layout` is what it must hold, for the message."""
    if root is None:
        raise DataError(
            f"data.root=null: {name} needs the folder that holds {layout}; set "
            "data.root=/path/to/it."
        )
    return Path(root).expanduser()


def require_folders(name: str, folders: Iterable[Path], root: Path, layout: str) -> None:
    """Refuse a data set of which a folder is absent; `layout` is what its root must hold."""
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{name}: {folder} is absent; data.root={root} must hold {layout}.")


def from_two_parts(
    name: str, train: Sequence[Path], test: Sequence[Path], names: Sequence[str], decoder: Decoder,
    limit: int | None, validation_fraction: float, seed: int,
) -> ImageSplits:  # fmt: skip
    """Read a folder of each class for training, and one for the test part.

    Of a class's first `limit` training pictures (None: all) a share is held out for validation.
    """
    found = Found()
    images = read_classes(train, decoder, found)
    images = images.subset(limit_per_class(images.labels, limit))
    kept, held = hold_out_files(images, validation_fraction, seed)
    tested = read_classes(test, decoder, found)
    return check_splits(ImageSplits(name, kept, held, tested, tuple(names), found))


def class_folders(folder: Path) -> list[str]:
    """Return the names of the class folders in `folder`, sorted."""
    inside = folder.iterdir() if folder.is_dir() else ()
    names = [path.name for path in inside if path.is_dir() and not path.name.startswith(".")]
    if not names:
        lacks = "holds no class folder" if folder.is_dir() else "does not exist"
        raise DataError(
            f"{folder} {lacks}: put the pictures into {folder}/<class>/ "
            f"(data.root={folder.parent})."
        )
    numeric = all(name.isdecimal() for name in names)
    return sorted(names, key=lambda name: (int(name), name) if numeric else (0, name))


def read_classes(
    folders: Sequence[Path | None], decoder: Decoder, found: Found, enough: int = 1
) -> FileImages:
    """Return the pictures of `folders`, labelled by place; `found` says what is left out.

    None stands for a class without pictures. Of fewer than `enough` nothing can be held out.
    """
    listed = [found.pictures(folder) if folder else [] for folder in folders]
    whole = iter(found.readable([path for paths in listed for path in paths]))
    kept = [[path for path in paths if next(whole)] for paths in listed]
    inside = {folder: paths for folder, paths in zip(folders, kept, strict=True) if folder}
    if found.broken == "skip" or not found.unreadable:
        require_pictures(inside, found, enough)
    labels = [torch.full((len(paths),), label) for label, paths in enumerate(kept)]
    return FileImages([path for paths in kept for path in paths], torch.cat(labels), decoder)


def hold_out_files(
    images: FileImages, fraction: float, seed: int, names: Sequence[str] = (), least: int = 1
) -> tuple[FileImages, FileImages]:
    """Cut `images` in two as `hold_out` says."""
    kept, held = hold_out(images.labels, fraction, seed, names, least)
    return images.subset(kept), images.subset(held)


def check_splits(splits: ImageSplits) -> ImageSplits:
    """Say what was left out, and of blank pictures; return the splits."""
    if splits.found:
        splits.found.end()
    if isinstance(splits.train, FileImages):
        warn_of_blank(splits.train, splits.class_names)
    return replace(splits, class_names=tuple(map(readable, splits.class_names)))


def readable(name: str) -> str:
    """Return a folder's name as text; bytes that are not UTF-8, which no figure takes, escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def warn_of_blank(images: FileImages, names: Sequence[str]) -> None:
    """Warn of classes, or tasks, whose first pictures are mostly of one colour."""
    first = limit_per_class(images.labels, _LOOKED_AT)
    pictures = images.subset(first).all().unflatten(1, (-1, images.decoder.channels))
    blank = is_blank(pictures.flatten(0, 1)).view(len(first), -1).any(1)  # either half of a pair
    labels = images.labels[first]
    if empty := [n for c, n in enumerate(names) if blank[labels == c].float().mean() > 0.5]:
        warn_once(
            f"the pictures of {', '.join(empty)} are empty once decoded, of one colour or nearly "
            f"so ({images.paths[int(first[blank][0])]}); look at them, and at "
            f"data.splits.background={images.decoder.background} if they are transparent."
        )


def _read_root(
    base: Path,
    names: Sequence[str],
    decoder: Decoder,
    found: Found,
    shares: tuple[float, float],
    seed: int,
    whole: bool = False,
    may_lack: bool = False,
) -> list[FileImages]:
    """Return the training, validation and test pictures of some classes, or the `whole` root's."""
    there = {n for n in names if not may_lack or (base / "train" / n).is_dir()}

    def part_of(name: str) -> FileImages | None:
        if name != "train" and not (base / name).is_dir():
            return None
        inside = {*class_folders(base / name)} if there else set()
        if differing := there ^ inside if whole else there - inside:
            raise DataError(
                f"{base / name} must hold the same class folders as {base / 'train'}; "
                f"only one of the two has {', '.join(sorted(differing))}."
            )
        folders = [base / name / n if n in there else None for n in names]
        alone = not (base / "val").is_dir() and not (base / "test").is_dir()
        return read_classes(folders, decoder, found, enough=2 if alone else 1)

    train, val, test = part_of("train"), part_of("val"), part_of("test")
    assert train is not None
    validation, test = (val, test) if test else (None, val)
    if test is None:
        train, test = hold_out_files(train, shares[0], seed, names)
    if validation is None:
        train, validation = hold_out_files(train, shares[1], seed, names, least=2)
    return [train, validation, test]


def _joined(old: FileImages, new: FileImages, first: int) -> FileImages:
    """Return pictures with others behind them, whose classes begin at `first`."""
    labels = torch.cat((old.labels, new.labels + first))
    return FileImages([*old.paths, *new.paths], labels, old.decoder)
