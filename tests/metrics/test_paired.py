from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from lgan.callbacks.evaluation import PictureSource
from lgan.data.images import TensorImages, to_float
from lgan.metrics.evidence import Evidence
from lgan.metrics.paired import PairedDistances, paired_distances
from lgan.metrics.reference import Reference

CPU = torch.device("cpu")


def pictures(count: int, start: int) -> torch.Tensor:
    """Pictures (count, 3, 16, 16) of one grey each."""
    return (torch.arange(count, dtype=torch.uint8) + start)[:, None, None, None].repeat(
        1, 3, 16, 16
    )


class Pairs(SimpleNamespace):
    """Two tasks of three pairs; the target is the input, ten levels brighter."""

    task_kind, paired = "pictures", True

    def test_inputs(self, task: int) -> torch.Tensor:
        return pictures(3, 100 * task)

    def test_images(self, task: int) -> TensorImages:
        return TensorImages(pictures(3, 100 * task + 10), torch.full((3,), task))


def test_equal_pictures_are_at_no_distance() -> None:
    one = torch.rand(2, 3, 16, 16) * 2 - 1
    assert paired_distances(one, one) == {"l1": 0.0, "ssim": pytest.approx(1.0)}
    assert paired_distances(one.clamp(-1, 0.5), one.clamp(-1, 0.5) + 0.25)["l1"] == pytest.approx(
        0.25
    )


def test_each_label_gets_its_tasks_next_picture() -> None:
    source = PictureSource(Pairs(), CPU)
    first = source(torch.tensor([1, 0, 1]))
    second = source(torch.tensor([1, 1, 1]))
    levels = [to_float(torch.tensor(v, dtype=torch.uint8)).item() for v in (100, 0, 101)]
    assert first[:, 0, 0, 0].tolist() == levels
    levels = [to_float(torch.tensor(v, dtype=torch.uint8)).item() for v in (102, 100, 101)]
    assert second[:, 0, 0, 0].tolist() == levels, "and starts again after the last"


def test_inputs_go_on_from_call_to_call() -> None:
    """Three calls of one picture each are three pictures, and the fourth is the first again."""
    source = PictureSource(Pairs(), CPU)
    levels = [source(torch.tensor([1]))[0, 0, 0, 0].item() for _ in range(4)]
    expected = [to_float(torch.tensor(100 + i, dtype=torch.uint8)).item() for i in (0, 1, 2, 0)]
    assert levels == expected


def evidence_of(paired: bool, samples: int = 3, batch: int = 2) -> Evidence:
    data = Pairs(tasks=[SimpleNamespace(classes=(t,)) for t in (0, 1)])
    data.paired = paired
    data.test_images_of = lambda classes: data.test_images(0)
    evaluator = Reference(None, None, None, "", samples, batch)
    evaluator.data, evaluator.device = data, CPU
    return Evidence(evaluator, 1, lambda: PictureSource(data, CPU), None)


def test_every_task_so_far_is_measured_against_its_own_targets() -> None:
    values = PairedDistances().measure(evidence_of(True))
    ten = 10 * 2 / 255
    for entry in values.metrics:
        assert entry["l1"] == pytest.approx(ten, rel=1e-3)
    assert values.overall["l1"] == pytest.approx(ten, rel=1e-3)


def test_no_input_is_translated_twice_and_tasks_come_one_after_the_other() -> None:
    """There are three inputs for each task: with more samples asked for, N is three."""
    evidence = evidence_of(True, samples=200)
    assert [call.tolist() for call in evidence.calls()] == [[0, 0], [0], [1, 1], [1]]
    levels = evidence.generated.images[:, 0, 0, 0].tolist()
    assert levels == [0, 1, 2, 100, 101, 102]
    assert evidence_of(True, samples=2).generated.labels.tolist() == [0, 0, 1, 1]


def test_pictures_without_partners_are_left_alone() -> None:
    assert [evidence_of(paired).has("pairs") for paired in (True, False)] == [True, False]
