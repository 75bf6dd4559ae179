"""Writing files so that a crash never leaves half of one, and reading them so that damage shows."""

import hashlib
import json
import os
import pickle
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lgan.errors import ConfigError, DamagedFileError, RunError
from lgan.redaction import redacted

MARK = b"lgan-sha256:"  # begins the footer of a sealed file; the digest in hex digits follows
FOOTER = len(MARK) + 64  # bytes
LONGEST = 50  # letters of a file name that are kept where all are too many
END_OF_ZIP, END_LENGTH = b"PK\x05\x06", 22  # the last record of a zip file, as of torch.save


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name in the folder of `path`; rename it to `path` when the block succeeds.

    The folder is made if need be. If the block fails, the temporary file goes and the former
    content of `path` stays. The content is on the disk before the name is: a power cut leaves the
    former file or the new one, never an empty one. See `disk_errors`.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            replace_durably(temporary, path)
    finally:
        discard(temporary)


ZIP_WRITER = ("PytorchStreamWriter", "inline_container.cc", "iostream error")
"""By these words torch.save's RuntimeError is known to be about a disk that is full."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the system says of a full disk or a read-only folder into a `RunError`."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(w in str(error) for w in ZIP_WRITER):
            raise
        why = error.__context__ if isinstance(error, RuntimeError) else error  # torch hides it
        if isinstance(why, OSError) and why.strerror:
            why = OSError(why.errno, why.strerror)
        raise RunError(
            f"could not write {path}: {why or error}; free some space or choose another folder "
            "(paths.runs=...). The former file, if any, is untouched."
        ) from error


def replace_durably(temporary: Path, path: Path) -> None:
    """Rename a file, so that its content and then its name survive a power cut."""
    synchronise(temporary)
    os.replace(temporary, path)
    synchronise(path.parent)


def synchronise(path: Path) -> None:
    """Wait until a file or folder is on the disk; some file systems cannot do so for folders."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def discard(temporary: Path) -> None:
    """Remove what is left of a temporary file; where nothing can be written nothing is left."""
    with suppress(OSError):
        temporary.unlink()


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file, text in UTF-8; see `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


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
            move_files(part, output)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        for folder in made:
            with suppress(OSError):  # what holds a file stays
                folder.rmdir()


def move_files(source: Path, target: Path) -> None:
    """Move all files below a folder to the same places below another, which may have such files."""
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, place)


def refuse_existing(paths: Iterable[Path], overwrite: bool) -> None:
    """Raise where a file is there, unless `overwrite` is true."""
    for path in paths:
        if path.exists() and not overwrite:
            raise ConfigError(
                f"output: {path} exists already; add overwrite=true or choose another folder."
            )


def save_tensors(path: Path, content: dict) -> None:
    """Save tensors and plain data, sealed, such as `load_tensors` (weights only) reads back."""
    import torch  # here, as below: commands that load no tensors answer at once

    with atomic_path(path) as temporary:
        torch.save(content, temporary)
        seal(temporary)


def seal(path: Path) -> None:
    """Append the SHA-256 of a file to it; torch.load reads it as before."""
    with path.open("ab") as file:
        file.write(MARK + _digest(path, path.stat().st_size).encode())


def verify(path: Path) -> None:
    """Raise where a sealed file is truncated or altered; of other files the end alone can tell."""
    if path.exists() and not path.is_file():  # opening a pipe would wait for ever
        raise RunError(f"{path} is no regular file; restore it from a copy, or remove it.")
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(2)
        file.seek(-min(size, FOOTER), os.SEEK_END)
        tail = file.read()
    if tail.startswith(MARK) and len(tail) == FOOTER:
        whole = tail.removeprefix(MARK).decode(errors="replace") == _digest(path, size - FOOTER)
    else:
        # torch.load alone would not notice a footer cut short; older files have none.
        whole = head == b"PK" and tail[-END_LENGTH:].startswith(END_OF_ZIP)
    if not whole:
        raise DamagedFileError(
            f"{path} is damaged or was not written by lgan: its bytes do not match its checksum; "
            "restore it from a copy, or remove it."
        )


def _digest(path: Path, count: int) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while count and (block := file.read(min(count, 2**20))):
            sha.update(block)
            count -= len(block)
    return sha.hexdigest()


def load_tensors(path: Path) -> dict:
    """Load a file of `save_tensors`; damage is noticed, and code in it is refused."""
    import torch

    verify(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise RunError(f"{path} cannot be loaded safely as tensors: {error}") from error
    except Exception as error:
        reason = f"{path} is damaged and cannot be loaded as tensors: {error}"
        raise DamagedFileError(reason) from error


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401  (any JSON value)
    """Write a JSON file atomically, without secrets; numbers that are not finite are null.

    Its entries have a line each, and so have theirs: a record's rows, say.
    """
    finite = json.loads(json.dumps(redacted(content)), parse_constant=lambda _: None)
    write_atomically(path, _lines(finite))


def _lines(content: Any, depth: int = 1) -> str:  # noqa: ANN401
    if depth > 2 or not content or not isinstance(content, dict | list):
        return json.dumps(content)  # which is fast as long as it is one line
    if isinstance(content, dict):
        entries = [f"{json.dumps(key)}: {_lines(each, depth + 1)}" for key, each in content.items()]
    else:
        entries = [_lines(each, depth + 1) for each in content]
    inside = ",".join(f"\n{' ' * depth}{entry}" for entry in entries) + f"\n{' ' * (depth - 1)}"
    return f"{{{inside}}}" if isinstance(content, dict) else f"[{inside}]"


def file_names(names: Sequence[str]) -> list[str]:
    """Return a name for each that cannot leave its folder; those that would meet get a hash.

    So do those too long for a file system. Upper and lower case count as the same, as some file
    systems have it. Between the words of a name a NUL may stand, of which a dash is made.
    """
    whole = sys.getfilesystemencoding() == "utf-8"  # otherwise letters may have no file name
    unsafe = re.compile(r"[^\w -]", re.UNICODE if whole else re.ASCII)
    found = [unsafe.sub("_", name.replace("\0", "-")) or "_" for name in names]
    count = Counter(name.casefold() for name in found)
    return [
        f"{safe[:LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        if count[safe.casefold()] > 1 or len(safe.encode()) > 4 * LONGEST
        else safe
        for name, safe in zip(names, found, strict=True)
    ]
