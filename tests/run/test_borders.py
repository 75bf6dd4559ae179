"""Border files and the store of their tensors: stored once, checked, thinned out, collected."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lgan.errors import ConfigError, DamagedFileError
from lgan.files import load_tensors, save_tensors
from lgan.inference.load import load_run
from lgan.run import borders
from lgan.run.borders import (
    collect,
    digest_of,
    load_border,
    save_border,
    set_damaged_aside,
    thin_out,
)
from lgan.run.record import RunRecord
from lgan.training.train import train

QUICK = ["callbacks.evaluation=null", "callbacks.samples=null", "training.steps=2"]


def state(*values: float) -> dict:
    return {"task": 0, "state": {f"w{i}": torch.full((64,), v) for i, v in enumerate(values)}}


def write(folder: Path, *tasks: tuple[float, ...]) -> None:
    listed = None
    for task, values in enumerate(tasks):
        listed = save_border(folder / f"task{task}.pt", state(*values), listed)


def stored(folder: Path, ending: str = ".pt") -> list[Path]:
    return sorted((folder / "tensors").glob(f"*{ending}"))


def digests(path: Path) -> set[str]:
    return {digest_of(tensor) for tensor in load_border(path)["state"].values()}


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(2, 3), torch.randn(()), torch.empty(0, 3), torch.tensor([True, False]),
        torch.randn(3, dtype=torch.bfloat16), torch.arange(5), torch.tensor([float("nan"), -0.0]),
        torch.randn(100, 4).T[1:3],
    ],
)  # fmt: skip
def test_any_tensor_comes_back_with_its_bits(tmp_path, tensor) -> None:
    save_border(tmp_path / "task0.pt", {"task": 3, "state": {"a": tensor, "b": tensor}})
    content = load_border(tmp_path / "task0.pt")
    assert content["task"] == 3 and list(content["state"]) == ["a", "b"]
    for found in content["state"].values():
        assert digest_of(found) == digest_of(tensor)
        assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
    assert len(stored(tmp_path)) == 1 and stored(tmp_path)[0].stat().st_size < 4000


def test_shape_and_type_are_part_of_what_a_tensor_is() -> None:
    zeros = torch.zeros(4)
    others = [zeros.view(2, 2), zeros.int(), torch.zeros(5), -zeros]
    assert digest_of(zeros) == digest_of(torch.zeros(4))
    assert all(digest_of(other) != digest_of(zeros) for other in others)


def test_what_a_task_did_not_change_is_stored_once(tmp_path) -> None:
    write(tmp_path, (1,), (1, 2), (1, 2, 3))
    assert len(stored(tmp_path)) == 3
    assert load_border(tmp_path / "task1.pt")["state"].keys() == {"w0", "w1"}


def test_borders_that_hold_or_name_their_tensors_themselves_are_read(tmp_path) -> None:
    save_tensors(tmp_path / "task0.pt", state(1.0))
    write(tmp_path / "named", (1,))
    named = {"task": 0, "state": {"w0": stored(tmp_path / "named")[0].stem}}
    save_tensors(tmp_path / "named/task0.pt", named)
    collect(tmp_path / "named")
    for path in (tmp_path / "task0.pt", tmp_path / "named/task0.pt"):
        assert torch.equal(load_border(path)["state"]["w0"], torch.ones(64))


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_damaged_exchanged_and_lost_tensors_are_noticed(tmp_path) -> None:
    write(tmp_path, (1,), (1, 2))
    (first,) = digests(tmp_path / "task0.pt")
    path = tmp_path / f"tensors/{first}.pt"
    whole = path.read_bytes()
    other = next(p for p in stored(tmp_path) if p != path)
    for change in (
        lambda: spoil(path),
        lambda: path.write_bytes(other.read_bytes()),
        lambda: save_tensors(path, {"other": torch.ones(64)}),
        path.unlink,
    ):
        change()
        with pytest.raises(DamagedFileError, match=rf"task1.pt names a tensor, .*{first}.pt"):
            load_border(tmp_path / "task1.pt")
        path.write_bytes(whole)
    for outside, what in (({"w": "../../secret"}, "tensor"), ("../../secret", "list of tensors")):
        save_tensors(tmp_path / "task0.pt", {"task": 0, "state": outside})
        with pytest.raises(DamagedFileError, match=f"names a {what}, "):
            load_border(tmp_path / "task0.pt")


def test_damaged_exchanged_and_lost_lists_are_noticed_and_written_again(tmp_path) -> None:
    write(tmp_path, (1, 2), (1, 2, 3))
    path = stored(tmp_path, ".names")[0]
    other, whole = stored(tmp_path, ".names")[1].read_bytes(), path.read_bytes()
    for change in (lambda: spoil(path), lambda: path.write_bytes(other), path.unlink):
        change()
        with pytest.raises(DamagedFileError, match=r"task1.pt names a list of tensors, .*names, "):
            load_border(tmp_path / "task1.pt")
        there = path.exists()
        assert set_damaged_aside(tmp_path) == [path.name] * there and not path.exists()
        write(tmp_path, (1, 2), (1, 2, 3))
        assert path.read_bytes() == whole and len(digests(tmp_path / "task1.pt")) == 3


def test_lists_tell_what_changed_came_and_went(tmp_path) -> None:
    steps = [range(9), [*range(8), 10], range(3), [*range(3), 7]]
    write(tmp_path, *steps)
    for task, values in enumerate(steps):
        found = load_border(tmp_path / f"task{task}.pt")["state"].values()
        assert [tensor[0] for tensor in found] == [*values]
    sizes = [len(load_tensors(path)["list"]["names"]) for path in stored(tmp_path, ".names")]
    assert sorted(sizes) == [1, 1, 3, 9], "the third is told anew"
    for path in stored(tmp_path, ".names"):
        path.unlink()
    save_border(tmp_path / "task4.pt", state(1, 2), (path.stem, {"w0": "gone"}))
    assert len(load_border(tmp_path / "task4.pt")["state"]) == 2, "on a list that is not there"


def test_all_borders_together_grow_with_the_tasks(tmp_path) -> None:
    """Ten tensors of each task, ten that every task changes: the first list is told once."""
    names = [[*range(10 * t, 10 * t + 10), *range(10 * t + 10)] for t in range(41)]
    write(tmp_path, *([float(v) for v in values] for values in names))
    total = [0, 0]
    for task in range(41):
        total[task > 20] += (tmp_path / f"task{task}.pt").stat().st_size
    lists = [path.stat().st_size for path in stored(tmp_path, ".names")]
    assert total[1] < 1.01 * total[0] and max(lists) < 2.2 * min(lists)


@pytest.mark.parametrize(
    ("keep", "left"), [("all", [0, 1, 2, 3, 4]), ("last", [4]), ("every:2", [1, 3, 4])]
)
def test_borders_are_thinned_out_and_their_tensors_go(tmp_path, keep, left) -> None:
    write(tmp_path, *((0, 10 + t) for t in range(5)))
    thin_out(tmp_path, range(5), keep)
    assert sorted(p.stem for p in tmp_path.glob("*.pt")) == [f"task{t}" for t in left]
    assert len(stored(tmp_path)) == 1 + len(left)
    for task in left:
        assert load_border(tmp_path / f"task{task}.pt")["state"]["w1"][0] == 10 + task


def test_only_what_nobody_names_is_collected(tmp_path, monkeypatch) -> None:
    write(tmp_path, (1,), (1, 2))
    (tmp_path / "task1.pt").unlink()  # killed before it was written
    (tmp_path / "tensors/abc.pt.tmp").write_bytes(b"half")
    kept = (tmp_path / "task0.pt").read_bytes()
    (tmp_path / "task0.pt").write_bytes(kept[:-9])
    collect(tmp_path)
    assert len(list((tmp_path / "tensors").glob("*.pt"))) == 2, "a damaged border may need them yet"
    (tmp_path / "task0.pt").write_bytes(kept)

    def die(path):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(borders, "discard", die)
    with pytest.raises(KeyboardInterrupt):
        collect(tmp_path)
    collect(tmp_path)
    assert load_border(tmp_path / "task0.pt") and len(stored(tmp_path)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("damage", [spoil, Path.unlink])
def test_a_run_goes_on_from_the_newest_border_that_is_whole(
    configure, tmp_path, damage, capsys
) -> None:
    config = configure(*QUICK, "method=per_task", f"run_dir={tmp_path}/run")
    folder = train(config)
    expected = load_border(folder / "checkpoints/task1.pt")["state"]
    first, last = (digests(folder / f"checkpoints/task{t}.pt") for t in (0, 1))
    assert first & last, "the first task's network is stored once"
    damage(folder / f"checkpoints/tensors/{min(last - first)}.pt")
    record = RunRecord.load(folder)
    record.status = "running"
    record.save(folder)
    train(config)
    assert "task1.pt is damaged" in capsys.readouterr().err
    found = load_border(folder / "checkpoints/task1.pt")["state"]
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.slow
def test_only_the_last_border_is_kept_on_demand(configure, tmp_path) -> None:
    folder = train(configure(*QUICK, "keep=last", f"run_dir={tmp_path}/run"))
    assert [p.name for p in folder.glob("checkpoints/*.pt")] == ["task1.pt"]
    assert load_run(folder)[1]["task"] == 1
    assert folder.name == "run" and configure("keep=last").run_name == configure().run_name


@pytest.mark.parametrize("keep", ["some", "every:0", "every:", "2"])
def test_other_rules_are_refused(configure, keep) -> None:
    with pytest.raises(
        ConfigError, match=f"keep={keep} must be a text of the form all, last or every:K"
    ):
        train(configure(f"keep={keep}"))
