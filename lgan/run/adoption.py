"""What a run that extends another one (`lgan-extend`) takes over: its parent's borders and images.

The parent is only read. Tensors are hard-linked, as nobody writes to a stored tensor: the files of
both runs stand on the disk once, and each run's folder can go without harm to the other.
"""

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from lgan.data.content import changes
from lgan.errors import DamagedFileError, RunError, warn
from lgan.files import atomic_path, load_tensors, save_tensors, synchronise, verify
from lgan.run.borders import TENSORS, named_by
from lgan.run.checkpoints import check_border
from lgan.run.folder import RunFolder
from lgan.run.identity import digest_of, load_stamped
from lgan.run.record import RunRecord

LEARNT = ("samples/noise.pt", "samples/learnt*.pt", "router.pt")
"""What retention is measured against, and what is known of the tasks' inputs."""


class Parent:
    """A finished run that another one extends; what is no such run is refused."""

    def __init__(self, path: str | Path) -> None:
        self.folder = RunFolder(path)
        self.config = self.folder.load_config()
        self.record = RunRecord.load(self.folder.path)
        self.record.check_config(self.config, self.folder.config)
        if not self.record.complete:
            raise RunError(
                f"run={path} has finished {len(self.record.rows)} of {self.tasks} tasks and is "
                f"{self.record.status}; only a complete run can be extended. The command that "
                "began it goes on with it."
            )
        if not self.record.stamp:
            raise RunError(
                f"run={path} is of an older lgan, which did not record what its data are, and "
                "cannot be extended: what comes after it could not be compared."
            )

    def __str__(self) -> str:
        return f"run={self.folder.path}"

    @property
    def tasks(self) -> int:
        """Number of tasks that it has learnt."""
        return self.record.num_tasks

    @cached_property
    def borders(self) -> dict[int, dict[str, Any]]:
        """What the border files say that it has kept, tensors not loaded."""
        found = {}
        for task in filter(range(self.tasks).__contains__, self.folder.borders()):
            path = self.folder.border(task)
            found[task] = load_tensors(path)
            check_border(path, task, self.record.stamp, found[task])
        if self.tasks - 1 not in found:
            raise RunError(
                f"{self} lacks {self.folder.border(self.tasks - 1)}, the border of its last task, "
                "from which an extension goes on; restore it from a copy."
            )
        return found

    @property
    def last(self) -> dict[str, Any]:
        """What the border file of its last task says."""
        return self.borders[self.tasks - 1]

    @property
    def told(self) -> dict[str, Any]:
        """What the config of a run that extends it says of it."""
        rows, stamp = self.last["num_classes"], self.record.stamp
        return {"identity": digest_of(stamp), "tasks": self.tasks, "num_classes": rows}

    def check(self, extends: Mapping[str, Any], content: Mapping[str, Any]) -> None:
        """Refuse a parent that is not the one meant, or is damaged, or had other pictures.

        `extends` is the section of the child's config, `content` of its data.
        """
        if odd := [key for key, value in self.told.items() if extends[key] != value]:
            raise RunError(
                f"{self} is not the run that was to be extended: its {', '.join(odd)} is another "
                "by now. Ask lgan-extend again."
            )
        try:
            for path in self._stored:
                verify(path)
        except (DamagedFileError, FileNotFoundError) as error:
            raise RunError(f"{self} is damaged, restore it from a copy: {error}") from error
        old, now = self.record.content["classes"], content["classes"]
        again = {n: now[n] for n in old if n in now and any(now[n][p] for p in ("train", "test"))}
        before = {"digest": "before", "classes": {name: old[name] for name in again}}
        if found := changes(before, {"digest": "now", "classes": again}):
            raise RunError(
                f"{self} has learnt from other pictures than there are now: {'; '.join(found)}. "
                "Restore them."
            )

    def adopt(self, folder: RunFolder, record: RunRecord, told: dict[str, Any], copy: bool) -> None:
        """Give the folder of a run, and its record, all that is kept of this one.

        `told` is what border files say of the whole sequence; `copy` is for no links.
        """
        own = {"stamp": record.stamp}
        store = folder.checkpoints / TENSORS
        for path in self._stored:
            _place(path, store / path.name, copy)
        if store.exists():
            synchronise(store)
        for task, border in self.borders.items():
            save_tensors(folder.border(task), border | told | own)
        for path in (p for each in LEARNT for p in sorted(self.folder.path.glob(each))):
            try:
                content = load_stamped(path, self.record.stamp)
                save_tensors(folder.path / path.relative_to(self.folder.path), content | own)
            except DamagedFileError as error:
                warn(f"{error}")
        former = self.record
        record.references, record.rewinds = former.references, list(former.rewinds)
        record.ledger = {task: list(opened) for task, opened in former.ledger.items()}
        record.parent = {
            "run": str(self.folder.path), "stamp": former.stamp, "tasks": self.tasks,
            "rows": former.rows, "parent": former.parent and {**former.parent, "rows": []},
        }  # fmt: skip

    @cached_property
    def _stored(self) -> list[Path]:
        named = named_by(map(self.folder.border, self.borders))
        return sorted(self.folder.checkpoints / TENSORS / name for name in named)


def _place(source: Path, target: Path, copy: bool) -> None:
    if target.exists():
        return
    if not copy:
        with suppress(OSError):  # another disk, or one without links
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, target)
            return
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
