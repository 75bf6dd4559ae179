"""Where the scripts write: all of a call's files, or none."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lgan.files import disk_errors


@contextmanager
def staged(output: Path, stale: Iterable[Path] = ()) -> Iterator[Path]:
    """Yield an empty folder, whose files move to `output` when the block succeeds.

    If it fails, `output` is as it was before, or absent if it was; the same call can go on.
    `stale` are files of an earlier call, which are removed first.
    """
    made = [folder for folder in (output, *output.parents) if not folder.exists()]
    part = output / ".unfinished"
    try:
        with disk_errors(output):
            shutil.rmtree(part, ignore_errors=True)  # of a call that was killed
            part.mkdir(parents=True)
            yield part
            for path in stale:
                path.unlink(missing_ok=True)
            for path in sorted(p for p in part.rglob("*") if p.is_file()):
                target = output / path.relative_to(part)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        for folder in made:
            with suppress(OSError):  # what holds a file stays
                folder.rmdir()
