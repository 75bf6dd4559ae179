"""Results that are costly to compute, as safetensors files named by what they were made from."""

import hashlib
import logging
import os
import uuid
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lgan.files import discard

log = logging.getLogger(__name__)


def key_of(*parts: object) -> str:
    """Return 16 hexadecimal digits that name plain values (str, numbers, tuples, lists, dicts)."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def read_entry(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """Return the tensors and metadata of a cached file; None: it is absent or unreadable."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        if path.exists():
            log.warning("The cached file %s cannot be read (%s); it is computed anew.", path, error)
        return None


def write_entry(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a cached file atomically; a full or read-only disk costs a warning, not the run."""
    # A name of its own: two processes that compute the same thing both leave a whole file.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, temporary, metadata)
        os.replace(temporary, path)
    except (SafetensorError, OSError) as error:
        log.warning("%s could not be written (%s) and will be computed again.", path, error)
    finally:
        discard(temporary)
