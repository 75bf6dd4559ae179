"""Whose real pictures were opened while a task was trained: the protocol, witnessed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from lgan.errors import TaskAccessError

Reader = Literal["", "task", "cumulative", "evaluation", "selection", "method"]


class Ledger:
    """What was opened while each task was trained; outside of training nothing is noted.

    Without a reader only the current task's training and validation pictures may be opened. What
    Python cannot refuse, a method that names itself a reader, stands here and in every table.
    """

    def __init__(self) -> None:
        self.entries: dict[str, list[dict[str, Any]]] = {}
        """By the task that was trained: who opened which split of which tasks, and how much."""
        self.task: int | None = None
        self._reader: Reader = ""

    @contextmanager
    def training(self, task: int) -> Iterator[None]:
        """Note what is opened from here on, and refuse what nobody declares."""
        self.task = task
        try:
            yield
        finally:
            self.task = None

    @contextmanager
    def reading(self, reader: Reader) -> Iterator[None]:
        """Name who reads what is opened meanwhile."""
        before, self._reader = self._reader, reader
        try:
            yield
        finally:
            self._reader = before

    def note(
        self,
        trained: int | None,
        split: str,
        tasks: Sequence[int],
        images: int,
        reader: Reader = "",
        in_fit: bool = False,
    ) -> None:
        """Note pictures that are opened while task `trained` is trained (None: none), or refuse."""
        if trained is None:
            return
        by = reader or self._reader or "task"
        if by == "task" and (split == "test" or list(tasks) != [trained]):
            raise TaskAccessError(
                f"{split} pictures of tasks {list(tasks)} were asked for while task {trained} is "
                "trained, which sees its own training and validation pictures only; a callback "
                'that measures says so (reads = "evaluation"), and a method that needs them '
                "declares it (cumulative_data = True, or datamodule.reading('method'))."
            )
        entry = {"by": by, "split": split, "tasks": list(tasks), "images": images}
        if in_fit:
            entry["in_fit"] = True
        # What is opened again is the same entry. What evaluation keeps once it has opened it, a
        # process that goes on after a stop opens again, perhaps in a later task.
        known = self.entries.setdefault(str(trained), [])
        everywhere = self.entries.values() if by == "evaluation" else [known]
        if not any(entry in opened for opened in everywhere):
            known.append(entry)


def breaches(entries: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Return the rules of the protocol that what was opened breaks, as tables declare them."""
    found = []
    for task, entry in ((int(task), entry) for task, opened in entries.items() for entry in opened):
        by, split = entry["by"], entry["split"]
        others = any(other != task for other in entry["tasks"])
        if by == "cumulative" and others:
            found.append("keeps all real data")
        elif by == "selection" and split != "test" and others:
            found.append(f"selects by real {split} data of old classes")
        elif (by == "method" or entry.get("in_fit")) and (others or split == "test"):
            found.append(f"reads real {split} pictures of other tasks")
    return list(dict.fromkeys(found))
