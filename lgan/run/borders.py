"""Border files: what each finished task leaves behind, every tensor of which is stored once.

`checkpoints/task{t}.pt` names the tensors of its state by their content; they lie beside it, one
file each, in `checkpoints/tensors/`. What a task did not change is there already, so a sequence's
files grow with what was learnt and not with its square.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import DocInfo
from pydantic import StringConstraints
from torch import Tensor

from lgan.errors import DamagedFileError
from lgan.files import discard, disk_errors, load_tensors, save_tensors, seal, synchronise, verify

Keep = Annotated[str, StringConstraints(pattern=r"^(all|last|every:[1-9][0-9]*)$"),
                 DocInfo("the form all, last or every:K, K at least 1")]  # fmt: skip
"""Which tasks' borders stay: all, the last one, or each k-th and the last."""
TENSORS = "tensors"
Check = Callable[[dict[str, Any]], None]


def save_border(path: Path, content: Mapping[str, Any]) -> None:
    """Write a border file, atomically, after the tensors of its `state` that are not stored yet."""
    names = {name: digest_of(tensor) for name, tensor in content["state"].items()}
    store = path.parent / TENSORS
    new = {file: tensor for name, tensor in content["state"].items()
           if not (file := store / f"{names[name]}.pt").exists()}  # fmt: skip
    for file, tensor in new.items():
        _write(file, tensor)
    if new:
        synchronise(store)  # the names, before one of them is named
    save_tensors(path, {**content, "state": names})


def load_border(path: Path, check: Check | None = None) -> dict[str, Any]:
    """Load a border file with its tensors; one that holds them itself, as older ones do, as it is.

    `check` may refuse the file before its tensors are looked for. A `DamagedFileError` says that
    the file, or a tensor that it names, is damaged, or that tensor is gone.
    """
    content = load_tensors(path)
    if check and isinstance(content, dict):
        check(content)
    names = content.get("state") if isinstance(content, dict) else None
    if not isinstance(names, dict):
        return content
    stored = {name for name in names.values() if isinstance(name, str)}
    found = {digest: _read(path, digest) for digest in stored}
    return content | {"state": {k: found[v] if v in stored else v for k, v in names.items()}}


def digest_of(tensor: Tensor) -> str:
    """Return the SHA-256 of a tensor's type, shape and exact bits."""
    data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    sha = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
    sha.update(data.numpy().data)
    return sha.hexdigest()


def thin_out(folder: Path, borders: Iterable[int], keep: Keep) -> None:
    """Remove the borders that are not kept, then the tensors that none of the others names."""
    _, _, every = keep.partition(":")
    gone = [t for t in sorted(borders)[:-1] if keep == "last" or (every and (t + 1) % int(every))]
    for task in gone:
        (folder / f"task{task}.pt").unlink(missing_ok=True)
    if gone:
        collect(folder)


def collect(folder: Path) -> None:
    """Remove tensors that no border names, as a kill may leave them, unless a border is damaged."""
    store = folder / TENSORS
    for path in store.glob("*.tmp"):
        discard(path)
    named: set[Any] = set()
    for path in folder.glob("task*.pt*") if store.is_dir() else ():
        try:
            content = load_tensors(path)
            named |= {v for v in content["state"].values() if isinstance(v, str)}
        except Exception:  # whatever is wrong with it: its tensors may be of use yet
            return
    for path in store.glob("*.pt"):
        if path.stem not in named:
            discard(path)


def set_damaged_aside(folder: Path) -> list[str]:
    """Rename the damaged files of tensors, so that they can be stored again; return their names."""
    found = []
    for path in sorted((folder / TENSORS).glob("*.pt")):
        try:
            verify(path)
        except DamagedFileError:
            with disk_errors(path):
                os.replace(path, path.with_name(f"{path.name}.damaged"))
            found.append(path.name)
    return found


def _write(path: Path, tensor: Tensor) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"tensor": tensor.detach().cpu().clone()}, temporary)  # no larger storage
            seal(temporary)
            synchronise(temporary)
            os.replace(temporary, path)
    finally:
        discard(temporary)


def _read(border: Path, digest: str) -> Tensor:
    """Return a stored tensor, which has to be the very one that its name says."""
    path = border.parent / TENSORS / f"{digest}.pt"
    with suppress(FileNotFoundError, DamagedFileError, LookupError, TypeError, AttributeError):
        if re.fullmatch("[0-9a-f]{64}", digest):  # a name that leads to no other folder
            tensor = load_tensors(path)["tensor"]
            if digest_of(tensor) == digest:
                return tensor
    raise DamagedFileError(
        f"{border} names a tensor, {path}, that is damaged, exchanged or gone; restore it from a "
        "copy, or remove the border: its task is then trained again."
    )
