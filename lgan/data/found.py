"""What lies in the folders of a data set: the pictures' kinds and sizes, and what is left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from lgan.data.decoding import check_file, suffixes
from lgan.errors import DataError, warn_once
from lgan.progress import threaded

Broken = Literal["skip", "refuse"]
_OTHER = "no picture by its name"
_NAMED = 12  # files in a sentence
_Looked = tuple[str, tuple[int, int]] | str  # kind and size, or why it is no picture


@dataclass
class Found:
    """What was found while folders were read; `broken` says what is done with unreadable files."""

    broken: Broken = "skip"
    kinds: Counter[str] = field(default_factory=Counter)  # such as JPEG
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # width and height
    left_out: dict[Path, str] = field(default_factory=dict)  # and why

    def pictures(self, folder: Path) -> list[Path]:
        """Return all files below `folder` that should be pictures, in the order of their paths."""
        known, paths = suffixes(), []
        for parent, _, files in os.walk(folder, followlinks=True):
            for path in (Path(parent, name) for name in files if name[0] != "."):
                if path.suffix.lower() not in known:
                    self.left_out[path] = _OTHER
                elif not path.is_file():  # opening a pipe would wait for ever
                    self.left_out[path] = "a pipe, a socket, a device or a link to nothing"
                else:
                    paths.append(path)
        return sorted(paths)

    def readable(self, paths: Sequence[Path]) -> list[bool]:
        """Look at each file, once, and return which are whole pictures."""
        found = list(threaded(_look, paths, "checking pictures"))
        for path, looked in zip(paths, found, strict=True):
            if isinstance(looked, str):
                self.left_out[path] = looked
            else:
                self.kinds[looked[0]] += 1
                self.sizes[looked[1]] += 1
        return [not isinstance(looked, str) for looked in found]

    @property
    def unreadable(self) -> dict[Path, str]:
        """The files that are left out though they have a picture's name."""
        return {path: why for path, why in self.left_out.items() if why != _OTHER}

    def end(self) -> Found:
        """Refuse unreadable files if that is asked for, or say once what is left out."""
        bad = self.unreadable
        if bad and self.broken == "refuse":
            raise DataError(
                f"{len(bad)} files cannot be read as pictures (data.splits.broken=refuse): "
                f"{listed(bad)}; replace or delete them."
            )
        if self.left_out:
            where = os.path.commonpath([path.parent for path in self.left_out])
            warn_once(
                f"{where}: {len(self.left_out)} files were left out: {listed(self.left_out)}."
            )
        return self

    @property
    def facts(self) -> dict[str, Any]:
        """The same as plain data, for the record."""
        by_area = sorted(self.sizes, key=lambda size: (size[0] * size[1], size))
        usual = [s for s, n in self.sizes.most_common(1) if 4 * n > self.sizes.total()]
        return {
            "kinds": dict(self.kinds.most_common()),
            # The smallest and the largest, and one that is at least a quarter's.
            "sizes": [list(size) for size in (*by_area[:1], *by_area[-1:], *usual)],
            "left_out": {str(path): why for path, why in sorted(self.left_out.items())},
        }


def listed(files: dict[Path, str]) -> str:
    """Return files and why they are no pictures, in words; of very many the first."""
    shown = [f"{path.name} ({why})" for path, why in sorted(files.items())[:_NAMED]]
    more = len(files) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _look(path: Path) -> _Looked:
    stat = path.stat()
    return _looked(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=2**20)  # a data set is read several times before it is trained on
def _looked(path: Path, size: int, changed: int) -> _Looked:
    try:
        return check_file(path)
    except DataError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno is not None:  # the disk, not the file
            raise
        if type(cause).__name__ == "UnidentifiedImageError":
            return "no picture inside" if size else "empty"
        said = str(error).removeprefix(f"{path} ").split(";")[0].rstrip(".")
        return str(cause) if cause else said


def require_pictures(inside: Mapping[Path, Sequence[Path]], found: Found, enough: int = 1) -> None:
    """Refuse folders with no picture in them, all at once, and name those with too few."""
    empty = [folder for folder, pictures in inside.items() if not pictures]
    if not empty:
        return
    bad = {path: why for path, why in found.left_out.items() if {*path.parents} & {*empty}}
    why = f" ({listed(bad)})" if bad else ""
    verb = "holds" if len(empty) == 1 else "hold"
    few = [str(folder) for folder, pictures in inside.items() if 0 < len(pictures) < enough]
    also = f" {', '.join(few)}: one picture, where one is to train on and another to test on."
    raise DataError(
        f"{', '.join(map(str, empty))} {verb} no picture that Pillow reads, such as .png and .jpg "
        f"files{why}; add some or remove the folder.{also if few else ''}"
    )
