"""In which calls generated images are drawn: what a call takes does not grow with the tasks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lgan.callbacks.evaluation import ClassNoise
from lgan.metrics.evidence import Evidence
from lgan.networks.dcgan import Mergan32Generator
from lgan.networks.norm import ClassBatchNorm2d, looks_at_batch

CPU = torch.device("cpu")


def evidence(
    classes: int, jointly: bool, sampler=None, samples: int = 200, each: int = 64, side: int = 32
):
    by = SimpleNamespace(
        tasks=[(label,) for label in range(classes)],
        data=SimpleNamespace(task_kind="classes"),
        samples_per_class=samples,
        batch_per_class=each,
        device=CPU,
        samples_of=lambda _: samples,
        test=SimpleNamespace(shape=(1, side, side)),
    )
    return Evidence(by, classes - 1, sampler and (lambda: sampler), None, jointly)


@pytest.mark.parametrize("classes", [1, 2, 62, 200])
def test_a_call_is_of_one_class_or_of_so_many_images(classes) -> None:
    alone = evidence(classes, jointly=False).calls()
    assert {len(call) for call in alone} == {64} and {len(call.unique()) for call in alone} == {1}
    together = evidence(classes, jointly=True).calls()
    assert max(map(len, together)) <= max(2048, classes)
    assert all(len(call.unique()) == classes for call in together)
    for calls in (alone, together):
        assert torch.cat(calls).bincount().min() >= 200


@pytest.mark.parametrize(("side", "each"), [(8, 51), (32, 51), (64, 12), (128, 3), (256, 1)])
def test_larger_images_are_fewer_in_a_call(side, each) -> None:
    calls = evidence(40, jointly=True, side=side).calls()  # 2,048 images of 32 x 32, or smaller
    assert {len(call) for call in calls} == {40 * each}


def test_more_classes_than_images_of_a_call_are_one_of_each() -> None:
    calls = evidence(3000, jointly=True, samples=2).calls()
    assert [len(call) for call in calls] == [3000, 3000]


def test_class_by_class_the_images_are_those_of_a_mixed_call() -> None:
    torch.manual_seed(0)
    network, drawn = Mergan32Generator((1, 32, 32), 3, width=4), []
    for jointly in (False, True):
        noise = ClassNoise(network.z_dim, 1, 0, CPU)
        sampler = lambda y, noise=noise: network(noise(y), y)  # noqa: E731
        drawn.append(evidence(3, jointly, sampler, samples=6, each=4).generated)
    one, other = drawn
    assert torch.equal(one.labels, other.labels) and len(one) == 18
    apart = one.images.int() - other.images.int()
    assert apart.abs().max() <= 1 and (apart != 0).float().mean() < 0.01  # rounding


def test_statistics_in_parts_are_those_in_one(monkeypatch) -> None:
    torch.manual_seed(0)
    norm, x, y = ClassBatchNorm2d(12, 5), torch.randn(9, 12, 3, 3), torch.randint(5, (9,))
    whole = norm(x, y)
    monkeypatch.setattr("lgan.networks.norm.LARGEST", 9 * 5 * 4)  # four channels at once
    assert torch.equal(norm(x, y), whole)


@pytest.mark.parametrize(
    ("network", "looks"),
    [
        (ClassBatchNorm2d(2, 3), False),
        (ClassBatchNorm2d(2, 3, statistics="batch"), True),
        (nn.BatchNorm2d(2), False),
        (nn.BatchNorm2d(2, track_running_stats=False), True),
        (nn.InstanceNorm2d(2), False),
    ],
)
def test_norms_that_look_at_the_batch(network, looks) -> None:
    assert looks_at_batch(nn.Sequential(nn.Conv2d(2, 2, 1), network)) == looks
