"""What the evaluator draws with."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from lgan.callbacks.evaluation import MethodSampler
from lgan.callbacks.sources import ClassNoise


def test_a_call_that_is_passed_over_takes_its_inputs_along() -> None:
    """As another rank makes that call, and both shall see the same noise from there on."""
    method = SimpleNamespace(generate=lambda z, labels: z)
    labels = torch.zeros(3, dtype=torch.long)
    one, other = (MethodSampler(method, ClassNoise(2, 1, 0, torch.device("cpu"))) for _ in range(2))
    one(labels), other.skip(labels)
    assert torch.equal(one(labels), other(labels))
