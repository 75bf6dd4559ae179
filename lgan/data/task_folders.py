"""Translation tasks that lie in folders: a list of names, folders and directions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lgan.errors import ConfigError, DataError, did_you_mean

_KEYS = {"name", "root", "direction", "fetch"}


@dataclass(frozen=True)
class TaskFolder:
    """One task's folder of pictures."""

    name: str
    folder: Path
    reverse: bool  # whether B is translated to A
    fetch: str = ""  # what to fetch if it is absent, for the message


def task_folders(
    entries: Sequence[Mapping[str, Any]],
    tasks: Sequence[str] | None,
    root: str | None,
    layout: str,
    needed: Sequence[str],
) -> list[TaskFolder]:
    """Read the list ``data.splits.folders``, each of which must hold the subfolders `needed`.

    An entry has a `name`, a `direction` (AtoB or BtoA), a `root` (by default the name; a folder in
    `root`, a whole path, or a list of such of which the first that exists counts) and `fetch`,
    what to fetch if it is absent. `tasks` names some of them, in the order that is returned; None:
    all. `layout` is what must lie in each, for the message.
    """
    if tasks is not None:
        named = {str(entry.get("name")): entry for entry in entries}
        require_names(tasks, named)
        entries = [named[name] for name in tasks]
    if not entries:
        raise ConfigError(
            "data.splits.folders=[] must list at least one task, such as "
            "[{name: facades, root: /path/to/facades, direction: BtoA}]."
        )
    check_entries(entries)
    found = [_task_folder(entry, Path(root or ".").expanduser()) for entry in entries]
    for task in found:
        for part in needed:
            if not (task.folder / part).is_dir():
                fetch = f" Fetch {task.fetch}." if task.fetch else ""
                raise DataError(
                    f"{task.folder / part} is absent (task {task.name}, data.root="
                    f"{root or 'null'}): {task.folder} must hold {layout}.{fetch}"
                )
    return found


def require_names(tasks: Sequence[str], known: Collection[str]) -> None:
    """Refuse ``data.splits.tasks`` unless it names some of the tasks known, each once."""
    if not tasks or len(set(tasks)) < len(tasks) or not set(tasks) <= set(known):
        near = "".join(did_you_mean(name, known) for name in tasks if name not in known)
        raise ConfigError(
            f"data.splits.tasks={list(tasks)} must name some of {', '.join(known)}, each once"
            f"{near}."
        )


def check_entries(entries: Sequence[Mapping[str, Any]], where: str = "data.splits.folders") -> None:
    """Refuse entries of the list at the key `where` that are no tasks, or share a name."""
    for number, entry in enumerate(entries):
        key = f"{where}[{number}]"
        if "name" not in entry or not set(entry) <= _KEYS:
            raise ConfigError(
                f"{key} has the keys {', '.join(sorted(entry))}; it needs name and direction, and "
                "may have root and fetch."
            )
        if (way := entry.get("direction")) not in ("AtoB", "BtoA"):
            raise ConfigError(f"{key}.direction={way} must be AtoB (A is the input) or BtoA.")
    names = [entry["name"] for entry in entries]
    if len(set(names)) < len(names):
        raise ConfigError(f"{where} has the names {names}; each must be another.")


def places_of(entry: Mapping[str, Any], base: Path) -> list[Path]:
    """Return the folders in which the pictures of an entry may lie."""
    given = entry.get("root", entry["name"])
    roots = [given] if isinstance(given, str) else given
    return [base / Path(root).expanduser() for root in roots]


def _task_folder(entry: Mapping[str, Any], base: Path) -> TaskFolder:
    places = places_of(entry, base)
    folder = next((place for place in places if place.is_dir()), places[0])
    reverse, fetch = entry["direction"] == "BtoA", str(entry.get("fetch", ""))
    return TaskFolder(str(entry["name"]), folder, reverse, fetch)
