"""Where scripts write: all of a call's files or none, under names that are one to one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lgan.errors import ConfigError
from lgan.files import file_names, staged
from lgan.inference.task_network import find_task


def test_a_failed_call_leaves_nothing(tmp_path: Path) -> None:
    def fail(output: Path) -> None:
        with staged(output) as part:
            (part / "a").mkdir()
            (part / "a" / "0.png").write_text("new")
            raise ValueError

    with pytest.raises(ValueError):
        fail(tmp_path / "far" / "out")
    assert not (tmp_path / "far").exists()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "kept").touch()
    with pytest.raises(ValueError):
        fail(tmp_path / "own")
    assert [path.name for path in tmp_path.rglob("*")] == ["own", "kept"]


def test_a_call_that_succeeds_adds_its_files_and_takes_stale_ones(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / ".unfinished").mkdir(parents=True)
    (out / ".unfinished" / "killed").touch()
    (out / "a").mkdir()
    for name in ("0.png", "1.png", "own.txt"):
        (out / "a" / name).write_text("old")
    with staged(out, [out / "a" / "1.png"]) as part:
        (part / "a").mkdir()
        (part / "a" / "0.png").write_text("new")
    files = {str(p.relative_to(out)): p.read_text() for p in out.rglob("*") if p.is_file()}
    assert files == {"a/0.png": "new", "a/own.txt": "old"}


def test_names_of_files_are_one_to_one() -> None:
    assert file_names(["cat", "d\u00f6g"]) == ["cat", "d\u00f6g"]
    names = ["a/b", "a+b", "a_b", "A_B", "..", "c"]
    found = file_names(names)
    assert len({name.casefold() for name in found}) == len(names)
    assert found[-1] == "c" and not any(c in name for name in found for c in "/.+")
    assert file_names(names[::-1])[::-1] == found, "whatever their order"
    # Words are kept apart, and no name is longer than what file systems take.
    longest = ["\u1e9e" * 100 + "a", "\u1e9e" * 100 + "b"]
    found = file_names(["a\0b-c", "a-b\0c", *longest])
    assert len(set(found)) == 4 and all(name.startswith("a-b-c-") for name in found[:2])
    assert all(len(name.encode()) < 220 for name in found)


@pytest.mark.parametrize(("task", "index"), [(1, 1), ("1", 1), ("cats", 0), ("7", 2), (2, 2)])
def test_tasks_by_index_or_name(task: int | str, index: int) -> None:
    border = {"task": 2, "task_classes": [[0], [1], [2]], "class_names": ["cats", "dogs", "7"]}
    assert find_task(border, task) == index
    for wrong in ("zero", 3, "3", -1, True):
        with pytest.raises(ConfigError, match=r"choose one of 0 \(cats\), 1 \(dogs\), 2 \(7\)"):
            find_task(border, wrong)
