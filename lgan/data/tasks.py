"""Which classes belong to which task, in which order; small classes; tasks that lie in folders."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lgan.data.images import Images, ImageSplits
from lgan.distributed import is_main
from lgan.errors import ConfigError, DataError, did_you_mean, warn_once
from lgan.seeding import mix

TaskKind = Literal["classes", "pictures"]  # to draw from noise, or to translate


@dataclass(frozen=True)
class Task:
    """One task: its place in the sequence and its classes (the data set's own ids)."""

    index: int
    classes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class TaskInfo:
    """All that a method is told of the task that is open."""

    index: int
    task_classes: tuple[tuple[int, ...], ...]  # of the whole sequence, those to come included
    steps: int  # of the generator
    batch_size: int  # the global one
    draws: int  # real batches per step
    # For training: the task's own, or of all tasks up to it if the data are cumulative; pairs
    # (`lgan.data.pairs`) where a task is a translation.
    images: Images
    num_classes: int  # rows that networks have for classes in this task
    further_steps: int = 0  # that the method asked for, behind the others

    @property
    def all_steps(self) -> int:
        """The task's steps, further ones included."""
        return self.steps + self.further_steps

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes that the task brings."""
        return self.task_classes[self.index]


class TaskSequence:
    """Classes ``0 .. num_classes - 1`` cut into tasks, of which the first `num_tasks` are used.

    `classes_per_task` is one number for all tasks, or a list with one number per task;
    `class_order` is "natural", "random" or a list of all class ids. `class_order_seed`, of the
    random order, is not the run's seed, so that runs with several seeds see the same tasks.
    """

    def __init__(
        self,
        num_classes: int,
        classes_per_task: int | Sequence[int],
        class_order: Literal["natural", "random"] | Sequence[int] = "natural",
        class_order_seed: int = 0,
        num_tasks: int | None = None,
    ) -> None:
        order = _order(num_classes, class_order, class_order_seed)
        sizes = _sizes(num_classes, classes_per_task, num_tasks)
        ends = np.cumsum([0, *sizes]).tolist()
        self.tasks = tuple(Task(t, order[ends[t] : ends[t + 1]]) for t in range(len(sizes)))

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, index: int) -> Task:
        if not 0 <= index < len(self):
            span = f"{len(self)} tasks, 0 to {len(self) - 1}"
            raise ConfigError(f"task={index} does not exist: the sequence has {span}.")
        return self.tasks[index]

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks)

    def seen(self, index: int) -> tuple[int, ...]:
        """Return the classes of tasks ``0 .. index``, in task order."""
        return tuple(c for task in self.tasks[: self[index].index + 1] for c in task.classes)


def _order(
    num_classes: int, order: Literal["natural", "random"] | Sequence[int], seed: int
) -> tuple[int, ...]:
    natural = tuple(range(num_classes))
    if isinstance(order, str):
        # RandomState's stream is frozen by numpy, so an order means the same with every version.
        random = np.random.RandomState(mix("class_order", seed) % 2**32)
        return natural if order == "natural" else tuple(random.permutation(num_classes).tolist())
    given = tuple(order)
    if set(given) != set(natural) or len(given) != num_classes:
        missing = [c for c in natural if c not in given]
        repeated = sorted({c for c in given if given.count(c) > 1})
        unknown = [c for c in given if c not in natural]
        raise ConfigError(
            f"data.class_order={list(given)} must name each class 0 to {num_classes - 1} once "
            f"(missing {missing}, repeated {repeated}, unknown {unknown})."
        )
    return given


def _sizes(num_classes: int, per_task: int | Sequence[int], num_tasks: int | None) -> list[int]:
    asked = per_task if isinstance(per_task, int) else list(per_task)
    key = f"data.classes_per_task={asked}"
    if isinstance(asked, int):
        if asked < 1 or num_classes % asked:
            divisors = [n for n in range(1, num_classes + 1) if num_classes % n == 0]
            raise ConfigError(
                f"{key} must divide the {num_classes} classes (one of {divisors}); for unequal "
                "tasks give a list with one number per task."
            )
        sizes = [asked] * (num_classes // asked)
    else:
        sizes, total = asked, sum(asked)
        if not sizes or min(sizes) < 1 or total > num_classes:
            raise ConfigError(
                f"{key} must list positive numbers whose sum is at most {num_classes}, the number "
                "of classes."
            )
        if total < num_classes and num_tasks is None:
            raise ConfigError(
                f"{key} covers {total} of {num_classes} classes: list the others too, or set "
                f"data.num_tasks={len(sizes)} to leave them out."
            )
    if num_tasks is not None and not 1 <= num_tasks <= len(sizes):
        raise ConfigError(
            f"data.num_tasks={num_tasks} must lie between 1 and {len(sizes)}, the number of tasks "
            f"that {num_classes} classes make with {key}."
        )
    return sizes[:num_tasks]


def check_small(
    splits: ImageSplits, tasks: Sequence[Task], batch_size: int, allowed: bool, warn_below: int
) -> dict[str, int]:
    """Return classes whose tasks do not fill a batch, and how many pictures they have.

    See `TaskSequenceDataModule` for the last three.
    """
    train, test = (
        part.labels.bincount(minlength=len(splits.class_names)).tolist()
        for part in (splits.train, splits.test)
    )
    names, classes = splits.class_names, [c for task in tasks for c in task.classes]
    if alone := [names[c] for c in classes if not train[c] or not test[c]]:
        raise DataError(
            f"{', '.join(alone)}: a class needs a picture to train on and another to test on; "
            "add pictures, or remove the classes."
        )
    few = [task.classes for task in tasks if sum(train[c] for c in task.classes) < batch_size]
    repeated = {names[c]: train[c] for task_classes in few for c in task_classes}
    if repeated and not allowed:
        raise ConfigError(
            f"data.allow_small=false, and training.batch_size={batch_size} is more than "
            f"the training pictures of {_counted(repeated)}: add pictures, take a smaller "
            "batch, or allow that they are drawn with repetition (data.allow_small=true)."
        )
    tiny = {names[c]: train[c] for c in classes if train[c] < warn_below}
    if tiny and is_main():
        warn_once(
            f"fewer than {warn_below} training pictures (data.warn_below): "
            f"{_counted(tiny)}. A network learns so few by heart, and FID of so few means "
            "little."
        )
    return repeated


def _counted(classes: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in classes.items())


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
