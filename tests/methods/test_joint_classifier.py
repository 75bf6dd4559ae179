"""Joint training of a classifier alone: its loss by hand, what it has not, and whole runs."""

from __future__ import annotations

import math

import pytest
import torch
from borders import begin

from lgan.errors import RunError
from lgan.methods.joint_classifier import JointClassifier
from lgan.seeding import Noise


def test_loss_is_the_cross_entropy_over_the_classes_seen(make_method) -> None:
    method = make_method(JointClassifier)
    begin(method, 1, [(2, 0), (1,), (3,)])
    # a picture's logits are its pixels' sum times (1, 2, 3, 4): class 3 is not seen in this order
    with torch.no_grad():
        method.discriminator.label.weight.copy_(torch.arange(1.0, 5.0)[:, None].expand(4, 4))
        method.discriminator.label.bias.zero_()
    images = torch.tensor([0.25, 0.5])[:, None, None, None].expand(2, 1, 2, 2)
    loss = method.loss("discriminator", {"x": images, "y": torch.tensor([2, 1])})
    # pixel sums 1 and 2; logits of classes (2, 0, 1): (3, 1, 2) and (6, 2, 4)
    first = math.log(math.exp(3) + math.exp(1) + math.exp(2)) - 3
    second = math.log(math.exp(6) + math.exp(2) + math.exp(4)) - 4
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-6)


def test_only_the_class_head_learns(make_method, batch) -> None:
    method = make_method(JointClassifier)
    begin(method, 1)
    method.loss("discriminator", batch).backward()
    gradients = {name: p.grad for name, p in method.discriminator.named_parameters()}
    assert gradients["score.weight"] is None and gradients["score.bias"] is None
    assert gradients["label.weight"].abs().max() > 0


def test_every_batch_is_one_step_of_the_only_player(make_method) -> None:
    method = make_method(JointClassifier)
    assert list(method.schedule(["a", "b"])) == [("discriminator", "a"), ("discriminator", "b")]
    assert list(method.players) == ["discriminator"]
    assert method.cumulative_data and method.declaration == "keeps all real data, classifier only"


def test_each_task_starts_afresh(make_method) -> None:
    method = make_method(JointClassifier)
    trained = method.discriminator.label.weight
    with torch.no_grad():
        trained.fill_(7.0)
    begin(method, 1)
    fresh = method.networks.build_discriminator(1).label.weight
    assert torch.equal(method.discriminator.label.weight, fresh) and not (fresh == 7.0).any()


def test_there_is_no_generator_to_store_count_or_sample(make_method) -> None:
    method = make_method(JointClassifier)
    assert not method.has_generator and not list(method.generator.parameters())
    # 4 pixels: score 4 + 1, labels 4 * 4 + 4
    assert method.parameter_counts() == {"discriminator": 25, "total": 25}
    assert all(name.startswith("discriminator.") for name in method.border_state()["state"])
    with pytest.raises(RunError, match="method=tiny trains a classifier only"):
        method.sample(torch.tensor([0]), Noise(0))
