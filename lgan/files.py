"""Writing files so that a crash never leaves half of one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lgan.errors import RunError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name in the folder of `path`; rename it to `path` when the block succeeds.

    The folder is made if need be. If the block fails, the temporary file goes and the former
    content of `path` stays.

    Raises:
        RunError: the disk is full or the folder cannot be written to.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        # torch.save reports a full disk as a RuntimeError of its zip writer.
        if isinstance(error, RuntimeError) and "PytorchStreamWriter" not in str(error):
            raise
        raise RunError(
            f"could not write {path}: {error}; free some space or choose another folder "
            "(paths.runs=...). The former file, if any, is untouched."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Call `write(temporary)`, then rename the result to `path`."""
    with atomic_path(path) as temporary:
        write(temporary)


def save_tensors(path: Path, content: dict) -> None:
    """Save tensors and plain data so that `load_tensors` (weights only) reads them back."""
    write_atomically(path, lambda temporary: torch.save(content, temporary))


def load_tensors(path: Path, map_location: str = "cpu") -> dict:
    """Load a file of `save_tensors`; code in it is refused.

    Raises:
        RunError: the file is truncated, altered or holds more than tensors and plain data.
    """
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise RunError(f"{path} cannot be loaded safely as tensors: {error}") from error


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401  (any JSON value)
    """Write a JSON file atomically, indented for people."""
    text = json.dumps(content, indent=1, allow_nan=True)
    write_atomically(path, lambda temporary: temporary.write_text(text))


def safe_name(name: str) -> str:
    """Return a name from outside as one that cannot leave its folder."""
    return "".join(c if c.isalnum() or c in "-_ " else "_" for c in name) or "_"
