"""What the evaluator draws with."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from lgan.callbacks.evaluation import ClassNoise, MethodSampler


def test_a_call_that_is_passed_over_takes_its_inputs_along() -> None:
    """As another rank makes that call, and both shall see the same noise from there on."""
    method = SimpleNamespace(generate=lambda z, labels: z)
    labels = torch.zeros(3, dtype=torch.long)
    one, other = (MethodSampler(method, ClassNoise(2, 1, 0, torch.device("cpu"))) for _ in range(2))
    one(labels), other.skip(labels)
    assert torch.equal(one(labels), other(labels))


def test_a_classs_noise_is_its_own_whatever_else_is_asked_for() -> None:
    """With several rows for an image, one image's after the other's."""
    one, other = (ClassNoise(3, 2, 0, torch.device("cpu")) for _ in range(2))
    mixed, alone = one(torch.tensor([1, 0, 1])), other(torch.tensor([1, 1]))
    assert mixed.shape == (6, 3) and torch.equal(mixed[[0, 1, 4, 5]], alone)
    assert not torch.equal(other(torch.tensor([1, 1])), alone), "the next call draws anew"
