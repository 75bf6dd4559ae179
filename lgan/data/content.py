"""What the pictures of a data set are, wherever they lie and however they are held in memory."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lgan.cache import key_of
from lgan.data.images import FileImages, Images, ImageSplits, file_digests
from lgan.data.pairs import PairFiles, UnpairedImages
from lgan.errors import RunError
from lgan.files import write_json

LARGE = 4 * 2**30  # bytes of files above which names and sizes stand for their bytes
PARTS = ("train", "validation", "test")


def content_of(splits: ImageSplits, cache: Path | None = None) -> dict[str, Any]:
    """Return names, counts and digests of a data set's classes, as plain data.

    `classes` has for each, by id, its count in each part and the sha256 of its pictures; `digest`
    is that of everything. `root` is the folder of all files (null: there are none), `by` says what
    of them was looked at. `cache` keeps it until a file's path, size or time of change is another.
    """
    stamps = {path: path.stat() for part in splits.parts for path, _ in _labelled(part)}
    if not stamps:
        return _computed(splits, {}, "content")
    known = [(str(p), s.st_size, s.st_mtime_ns) for p, s in sorted(stamps.items())]
    cuts = [[(str(p), n) for p, n in _labelled(part)] for part in splits.parts]
    entry = cache and cache / "content" / f"{key_of(1, splits.class_names, known, cuts)}.json"
    with suppress(OSError, ValueError):
        if entry is not None:
            return json.loads(entry.read_text(encoding="utf-8"))
    if sum(s.st_size for s in stamps.values()) > LARGE:
        told = {p: f"{p.name}|{s.st_size}".encode() for p, s in stamps.items()}
        found = _computed(splits, told, "names and sizes")
    else:
        found = _computed(splits, file_digests(tuple(stamps)), "content")
    found["root"] = os.path.commonpath([path.resolve().parent for path in stamps])
    if entry is not None:
        with suppress(RunError):  # a cache that cannot be written to
            write_json(entry, found)
    return found


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what is another in `new`, one line each; nothing where `old` is empty."""
    if not old or (old["digest"], old.get("init_from")) == (new["digest"], new.get("init_from")):
        return []
    before, now = old["classes"], new["classes"]
    lines = [f"class {name} is gone" for name in before if name not in now]
    lines += [f"class {name} was added" for name in now if name not in before]
    if not lines and list(before) != list(now):
        lines = [f"the classes come as {', '.join(now)}, no longer as {', '.join(before)}"]
    for name in () if lines else before:
        was, has = before[name], now[name]
        if counts := [f"{has[p]} for {was[p]} in {p}" for p in PARTS if was[p] != has[p]]:
            lines.append(f"class {name} has other numbers of pictures ({', '.join(counts)})")
        elif was["digest"] != has["digest"]:
            lines.append(f"pictures of class {name} are others, or in other parts")
    if old.get("init_from") != new.get("init_from"):
        lines.append("method.init_from holds another network")
    return lines


def _computed(splits: ImageSplits, told: Mapping[Path, bytes], by: str) -> dict[str, Any]:
    classes = {}
    for label, name in enumerate(splits.class_names):
        parts = dict(zip(PARTS, (p.of_classes([label]) for p in splits.parts), strict=True))
        sha = hashlib.sha256(name.encode())
        for part in parts.values():
            _add(sha, part, told)
        counts = {part: len(images) for part, images in parts.items()}
        classes[name] = {**counts, "digest": sha.hexdigest()}
    digest = hashlib.sha256(json.dumps(classes).encode()).hexdigest()
    return {"digest": digest, "by": by, "root": None, "classes": classes}


def _add(sha: Any, part: Images, told: Mapping[Path, bytes]) -> None:  # noqa: ANN401  (a hash)
    sha.update(f"|{len(part)}".encode())
    if isinstance(part, UnpairedImages):
        for side in (part.inputs, part.targets):
            _add(sha, side, told)
    elif isinstance(part, FileImages):
        turned = part.reverse if isinstance(part, PairFiles) else ()
        for path, label in _labelled(part):
            sha.update(told[path] + str(turned[label] if turned else "").encode())
    else:
        sha.update(part.digest().encode())


def _labelled(part: Images) -> Iterator[tuple[Path, int]]:
    if isinstance(part, UnpairedImages):
        for side in (part.inputs, part.targets):
            yield from _labelled(side)
    elif isinstance(part, FileImages):
        yield from zip(part.paths, part.labels.tolist(), strict=True)
