"""Fixed noise, digests and drift, on a method whose images are known."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torchvision.io import read_image

from lgan.callbacks.base import TaskContext
from lgan.callbacks.samples import FixedNoiseSamples, digest
from lgan.data.images import TensorImages
from lgan.data.tasks import TaskSequence
from lgan.files import load_tensors, save_tensors


class Shifting(nn.Module):
    """Shows its noise as 1x1x2 pictures, plus a shift that later tasks may change."""

    noise_rows, name, total_steps, device = 1, "shifting", 0, torch.device("cpu")
    has_generator = True

    def __init__(self) -> None:
        super().__init__()
        self.generator = SimpleNamespace(z_dim=2)
        self.shift = 0.0
        self.stamp: dict[str, str] = {}
        self.moved: dict[int, int] = {}  # tasks that another network draws from a border on

    def learnt_at(self, task: int) -> int:
        return self.moved.get(task, task)

    def generate(self, z, labels):
        return torch.tanh(z)[:, None, None, :] * 0.5 + self.shift


def grey_tests(task: int) -> TensorImages:
    """Return three test pictures of each of a task's two classes, of one level each."""
    labels = torch.tensor([2 * task] * 3 + [2 * task + 1] * 3)
    levels = 10 * labels + torch.arange(6) % 3
    return TensorImages(levels.to(torch.uint8)[:, None, None, None].expand(6, 1, 1, 2), labels)


def end_of(task, method, folder, tasks=2) -> TaskContext:
    datamodule = SimpleNamespace(
        num_classes=2 * tasks, task_kind="classes", paired=False,
        sequence=TaskSequence(2 * tasks, 2), test_images=grey_tests,
    )  # fmt: skip
    context = TaskContext(method, datamodule, task, folder)
    FixedNoiseSamples(per_class=3).on_task_end(context)
    return context


def test_exact_retention_is_seen_and_so_is_drift(tmp_path) -> None:
    method = Shifting()
    first = end_of(0, method, tmp_path).row["retention"]
    assert first[0]["exact"] and first[0]["max_drift"] == 0
    kept = end_of(1, method, tmp_path).row["retention"]
    assert kept[0]["digest"] == first[0]["digest"] and kept[0]["exact"]
    method.shift = 0.25
    moved = end_of(1, method, tmp_path).row["retention"]
    assert not moved[0]["exact"] and moved[0]["digest"] != first[0]["digest"]
    assert abs(moved[0]["mean_drift"] - 0.25) < 1e-6
    assert moved[1]["exact"], "the task just learnt is its own reference"


def test_drift_counts_from_when_a_task_was_learnt(tmp_path) -> None:
    """Not from the last border: two shifts of a quarter are a half."""
    method, drifts = Shifting(), []
    for task in range(3):
        method.shift = 0.25 * task
        rows = end_of(task, method, tmp_path, tasks=3).row["retention"]
        drifts.append([round(row["max_drift"], 4) for row in rows])
    assert drifts == [[0.0], [0.25, 0.0], [0.5, 0.25, 0.0]]


def test_drift_starts_anew_where_another_network_draws(tmp_path) -> None:
    """Measured again later, the first border's images are still compared with its own."""
    method, drifts = Shifting(), []
    for task, shift, moved in ((0, 0.0, {}), (1, 0.25, {0: 1}), (2, 0.5, {0: 1}), (0, 0.0, {})):
        method.shift, method.moved = shift, moved
        rows = end_of(task, method, tmp_path, tasks=3).row["retention"]
        drifts.append([round(row["max_drift"], 4) for row in rows])
    assert drifts == [[0.0], [0.0, 0.0], [0.25, 0.25, 0.0], [0.0]]


@pytest.mark.parametrize("harm", ["truncated", "gone"])
def test_lost_files_cost_the_comparison_and_not_the_run(tmp_path, capsys, harm) -> None:
    method, samples = Shifting(), tmp_path / "samples"
    end_of(0, method, tmp_path)
    noise = (samples / "noise.pt").read_bytes()
    for name in ("noise.pt", "learnt0.pt"):
        if harm == "gone":
            (samples / name).unlink()
        else:
            (samples / name).write_bytes((samples / name).read_bytes()[:-100])
    rows = end_of(1, method, tmp_path).row["retention"]
    assert (samples / "noise.pt").read_bytes() == noise, "it is a function of the seed"
    assert not rows[0]["exact"] and math.isnan(rows[0]["max_drift"]) and rows[1]["exact"]
    assert "learnt0.pt is damaged or gone" in capsys.readouterr().err


def test_what_tasks_showed_is_read_from_the_one_file_of_an_older_run(tmp_path) -> None:
    method, samples = Shifting(), tmp_path / "samples"
    end_of(0, method, tmp_path)
    images = load_tensors(samples / "learnt0.pt")["images"]
    (samples / "learnt0.pt").unlink()
    save_tensors(samples / "learnt.pt", {"images": [images]})
    method.shift = 0.25
    rows = end_of(1, method, tmp_path).row["retention"]
    assert rows[0]["max_drift"] == pytest.approx(0.25) and not rows[0]["exact"]


class Large(Shifting):
    """Shows pictures of which files hold little else."""

    def generate(self, z, labels):
        return torch.tanh(z)[:, :1, None, None].repeat(1, 1, 64, 64)


@pytest.mark.slow
def test_files_of_many_tasks_grow_as_the_tasks_do(tmp_path) -> None:
    method, sizes = Large(), [0]
    for task in range(49):
        end_of(task, method, tmp_path, tasks=49)
        sizes.append(sum(path.stat().st_size for path in (tmp_path / "samples").iterdir()))
    # All tasks after each of them would be six times as much.
    one = 2 * 3 * 64 * 64 * 4 + 2 * 3 * 64 * 64  # what a task showed, and what is shown of it
    assert sizes[49] < 49 * 2 * one
    last = load_tensors(tmp_path / "samples/task48.pt")
    assert last["classes"] == list(range(98)) and len(last["images"]) == 98
    alone = load_tensors(tmp_path / "samples/task47.pt")
    assert alone["classes"] == [94, 95]
    assert torch.equal(alone["images"], last["images"][94:96])


def test_files_hold_every_class_learnt(tmp_path) -> None:
    end_of(0, Shifting(), tmp_path)
    end_of(1, Shifting(), tmp_path)
    saved = load_tensors(tmp_path / "samples/task1.pt")
    assert saved["classes"] == [0, 1, 2, 3]
    assert saved["images"].shape == (4, 3, 1, 1, 2) and saved["images"].dtype == torch.uint8
    noise = load_tensors(tmp_path / "samples/noise.pt")["noise"]
    expected = ((torch.tanh(noise[2, 1]) * 0.5 + 1) * 127.5).round().to(torch.uint8)
    assert saved["images"][2, 1, 0, 0].tolist() == expected.tolist()
    shown = read_image(str(tmp_path / "samples/task1.png"))  # pictures of 1x2, a border of 1
    assert shown.shape == (3, 4 * 2 + 1, 3 * 3 + 1)
    assert shown[0, 1 + 2 * 2, 4:6].tolist() == expected.tolist()


def test_first_test_pictures_of_every_class_are_kept_once(tmp_path) -> None:
    end_of(0, Shifting(), tmp_path)
    before = load_tensors(tmp_path / "samples/real.pt")["real"]
    end_of(1, Shifting(), tmp_path)
    kept = load_tensors(tmp_path / "samples/real.pt")
    assert kept["classes"] == [0, 1, 2, 3] and torch.equal(kept["real"][:2], before)
    assert kept["real"][:, 0, 0, 0, 0].tolist() == [0, 10, 20, 30]  # each of its own class
    # three pictures, four kept: from the first again
    assert kept["real"][2, :, 0, 0, 0].tolist() == [20, 21, 22, 20]


def test_digest_sees_a_single_bit() -> None:
    images = torch.zeros(2, 1, 2, 2)
    other = images.clone()
    other[1, 0, 1, 1] = 1e-45
    assert digest(images) == digest(images.clone()) != digest(other)


class Pairs(SimpleNamespace):
    """Two tasks of two pairs of 1x2x2; the target is the input, ten levels brighter."""

    task_kind, paired = "pictures", True
    num_classes, sequence = 2, TaskSequence(2, 1)

    def test_inputs(self, task: int) -> torch.Tensor:
        levels = 100 * task + torch.arange(2, dtype=torch.uint8)
        return levels[:, None, None, None].expand(2, 1, 2, 2)

    def test_images(self, task: int) -> TensorImages:
        return TensorImages(self.test_inputs(task) + 10, torch.full((2,), task))


class Copying(Shifting):
    """Shows its inputs again."""

    def generate(self, z, labels):
        return z


def test_a_translations_targets_are_saved_once_beside_its_inputs(tmp_path) -> None:
    data = Pairs()
    FixedNoiseSamples(per_class=3).on_task_end(TaskContext(Copying(), data, 0, tmp_path))
    targets = load_tensors(tmp_path / "samples/targets.pt")["targets"]
    assert targets.shape == (2, 3, 1, 2, 2) and targets.dtype == torch.uint8
    # two pictures, three asked for: from the first again, as the inputs
    assert targets[:, :, 0, 0, 0].tolist() == [[10, 11, 10], [110, 111, 110]]
    shown = load_tensors(tmp_path / "samples/task0.pt")["images"]
    assert shown[0, :, 0, 0, 0].tolist() == [0, 1, 0]
    data.paired = False
    FixedNoiseSamples(per_class=3).on_task_end(TaskContext(Copying(), data, 0, tmp_path / "other"))
    assert (tmp_path / "other/samples/noise.pt").exists()
    assert not (tmp_path / "other/samples/targets.pt").exists()
