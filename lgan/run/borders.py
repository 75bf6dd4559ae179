"""Border files: what each finished task leaves behind, every tensor of which is stored once.

`checkpoints/task{t}.pt` names a list of its state's tensors by content, and the list names the
tensors; all lie beside it, one file each, in `checkpoints/tensors/`. What a task did not change is
there already, and a list holds what differs from the one before: a sequence's files grow with what
was learnt and not with its square.
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
from lgan.files import discard, disk_errors, load_tensors, save_tensors, seal, synchronise

Keep = Annotated[str, StringConstraints(pattern=r"^(all|last|every:[1-9][0-9]*)$"),
                 DocInfo("the form all, last or every:K, K at least 1")]  # fmt: skip
"""Which tasks' borders stay: all, the last one, or each k-th and the last."""
TENSORS = "tensors"
KINDS: dict[str, Any] = {".pt": Tensor, ".names": dict}
"""What the store holds, by the ending of its files."""
Check = Callable[[dict[str, Any]], None]
Names = dict[str, str]
"""The digests of a state's tensors, by name."""
Listed = tuple[str, Names]
"""The digest of a list of tensors, and what it says."""


def save_border(path: Path, content: Mapping[str, Any], before: Listed | None = None) -> Listed:
    """Write a border file, atomically, after the tensors of its `state` that are not stored yet.

    The list of them is told as what differs from `before`, what the call for an earlier border
    returned, if that is shorter.
    """
    state, store = content["state"], path.parent / TENSORS
    names = {name: digest_of(tensor) for name, tensor in state.items()}
    there = before if before and (store / f"{before[0]}.names").exists() else None
    changes = _changes(names, there)
    entries: dict[str, Any] = {f"{names[name]}.pt": tensor for name, tensor in state.items()}
    entries[f"{(listed := digest_of(changes))}.names"] = changes
    new = {file: e for name, e in entries.items() if not (file := store / name).exists()}
    for file, entry in new.items():
        _write(file, entry)
    if new:
        synchronise(store)  # the names, before one of them is named
    save_tensors(path, {**content, "state": listed})
    return listed, names


def load_border(path: Path, check: Check | None = None) -> dict[str, Any]:
    """Load a border file with its tensors; one that names or holds them itself is an older one.

    `check` may refuse the file before its tensors are looked for. A `DamagedFileError` says that
    the file, or a tensor or list that it names, is damaged, or gone.
    """
    content = load_tensors(path)
    if check and isinstance(content, dict):
        check(content)
    names = content.get("state") if isinstance(content, dict) else None
    names = _names(path, names, {}) if isinstance(names, str) else names
    if not isinstance(names, dict):
        return content
    stored = {name for name in names.values() if isinstance(name, str)}
    found = {digest: _read(path, digest, ".pt") for digest in stored}
    return content | {"state": {k: found[v] if v in stored else v for k, v in names.items()}}


def digest_of(entry: Tensor | dict[str, Any]) -> str:
    """Return the SHA-256 of a tensor's type, shape and exact bits, or of a list."""
    if isinstance(entry, dict):
        return hashlib.sha256(repr(entry).encode()).hexdigest()
    data = entry.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    sha = hashlib.sha256(f"{entry.dtype} {tuple(entry.shape)} ".encode())
    sha.update(data.numpy().data)
    return sha.hexdigest()


def _changes(names: Names, before: Listed | None) -> dict[str, Any]:
    """Return a list: what differs from another one, or all, if most does."""
    digest, old = before or ("", {})
    changed = {name: new for name, new in names.items() if old.get(name) != new}
    gone = [name for name in old if name not in names]
    if 2 * (len(changed) + len(gone)) > len(names):
        digest, changed, gone = "", names, []
    return {"before": digest, "names": changed, "gone": gone}


def _names(border: Path, digest: str, lists: dict[str, dict[str, Any]]) -> Names:
    """Return what a list says, by it and those before it; what is read joins `lists`."""
    chain = []
    while digest:
        if digest not in lists:
            lists[digest] = _read(border, digest, ".names")
        chain.append(lists[digest])
        digest = chain[-1]["before"]
    names: Names = {}
    for part in reversed(chain):
        names |= part["names"]
        for name in part["gone"]:
            del names[name]
    return names


def thin_out(folder: Path, borders: Iterable[int], keep: Keep) -> None:
    """Remove the borders that are not kept, then the tensors that none of the others names."""
    _, _, every = keep.partition(":")
    gone = [t for t in sorted(borders)[:-1] if keep == "last" or (every and (t + 1) % int(every))]
    for task in gone:
        (folder / f"task{task}.pt").unlink(missing_ok=True)
    if gone:
        collect(folder)


def collect(folder: Path) -> None:
    """Remove what no border names, as a kill may leave it, unless a border is damaged."""
    store = folder / TENSORS
    for path in store.glob("*.tmp"):
        discard(path)
    try:
        named = named_by(folder.glob("task*.pt*") if store.is_dir() else ())
    except Exception:  # whatever is wrong with a border: its tensors may be of use yet
        return
    for path in _stored(store):
        if path.name not in named:
            discard(path)


def named_by(borders: Iterable[Path]) -> set[str]:
    """Return the files of the store that border files come by: tensors, and lists of them."""
    digests: set[Any] = set()
    lists: dict[str, dict[str, Any]] = {}
    for path in borders:
        state = load_tensors(path)["state"]
        names = _names(path, state, lists) if isinstance(state, str) else state
        digests |= {digest for digest in names.values() if isinstance(digest, str)}
    return {f"{digest}.pt" for digest in digests} | {f"{digest}.names" for digest in lists}


def set_damaged_aside(folder: Path) -> list[str]:
    """Rename damaged files of the store, which can then be written again; return their names."""
    found = []
    for path in _stored(folder / TENSORS):
        try:
            _read(folder / path.name, path.stem, path.suffix)
        except DamagedFileError:
            with disk_errors(path):
                os.replace(path, path.with_name(f"{path.name}.damaged"))
            found.append(path.name)
    return found


def _stored(store: Path) -> list[Path]:
    return sorted(path for ending in KINDS for path in store.glob(f"*{ending}"))


def _write(path: Path, entry: Tensor | dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    if isinstance(entry, Tensor):
        entry = entry.detach().cpu().clone()  # no larger storage
    try:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"tensor" if isinstance(entry, Tensor) else "list": entry}, temporary)
            seal(temporary)
            synchronise(temporary)
            os.replace(temporary, path)
    finally:
        discard(temporary)


def _read(border: Path, digest: str, ending: str) -> Any:  # noqa: ANN401
    """Return what is stored, which has to be the very thing that its name says."""
    path = border.parent / TENSORS / f"{digest}{ending}"
    with suppress(FileNotFoundError, DamagedFileError, ValueError, TypeError, AttributeError):
        if re.fullmatch("[0-9a-f]{64}", digest):  # a name that leads to no other folder
            (entry,) = load_tensors(path).values()
            if isinstance(entry, KINDS[ending]) and digest_of(entry) == digest:
                return entry
    what = "tensor" if ending == ".pt" else "list of tensors"
    raise DamagedFileError(
        f"{border} names a {what}, {path}, that is damaged, exchanged or gone; restore it from a "
        "copy, or remove the border: its task is then trained again."
    )
