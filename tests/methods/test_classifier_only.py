"""Classifiers that keep some real pictures: what a batch holds, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from borders import begin, end, info

from lgan.data.images import TensorImages
from lgan.errors import ConfigError
from lgan.methods.base import LifelongGAN
from lgan.methods.classifier_only import RehearsalClassifier
from lgan.networks.classifiers import MLP

TASKS = [(2, 0), (1,), (3,)]


def shades(task: int, count: int) -> TensorImages:
    """Return pictures of a task, each of which is as grey as ten times its class says."""
    labels = torch.tensor(TASKS[task])[torch.arange(count) % len(TASKS[task])]
    grey = (10 * labels).to(torch.uint8)[:, None, None, None]
    return TensorImages(grey.expand(count, 1, 2, 2).clone(), labels)


def after_one_task(method: LifelongGAN) -> LifelongGAN:
    method.task_classes = TASKS
    method.begin_task(info(0, TASKS, shades(0, 8)))
    end(method)
    method.begin_task(info(1, TASKS, shades(1, 12)))
    assert isinstance(method, RehearsalClassifier) and method.memory is not None
    method._kept_labels = method.memory.images().labels
    return method


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({"real_per_class": 3}, 6 / 18),  # 3 of each of two old classes, among 12 new pictures
        ({"real_per_class": None, "real_total": 5}, 4 / 16),
        ({"real_per_class": 2, "replay": "balanced"}, 2 / 3),  # two old classes of three
    ],
)
def test_kept_pictures_take_their_share_of_rows(make_method, settings, share) -> None:
    method = after_one_task(make_method(RehearsalClassifier, **settings))
    new = {"x": torch.ones(6000, 1, 2, 2), "y": torch.ones(6000, dtype=torch.int64)}
    mixed = method.with_kept(new)
    old = mixed["y"] != 1
    # four standard deviations of a binomial share, of 6000 and of about a third of them
    assert old.float().mean().item() == pytest.approx(share, abs=4 * math.sqrt(0.25 / 6000))
    assert (mixed["y"][old] == 2).float().mean().item() == pytest.approx(0.5, abs=0.06)
    # an old row is the picture of its label: 10 times the class, of 0 to 255, in [-1, 1]
    assert torch.equal(mixed["x"][old][:, 0, 0, 0], mixed["y"][old] * 10 / 127.5 - 1)
    assert (mixed["x"][~old] == 1).all()


def test_nothing_is_kept_of_the_task_that_is_trained(make_method, batch) -> None:
    method = begin(make_method(RehearsalClassifier, real_per_class=2), 0)
    assert method.with_kept(batch) is batch
    assert method.declaration == "keeps real data (2 per class)"
    assert make_method(RehearsalClassifier, real_per_class=None).declaration == ""


def test_kept_pictures_are_in_the_border_state(make_method) -> None:
    method = after_one_task(make_method(RehearsalClassifier, real_per_class=3))
    other = make_method(RehearsalClassifier, real_per_class=3)
    other.load_border_state(method.border_state())
    assert torch.equal(other.memory.images().images, method.memory.images().images)


def test_training_over_current_classes_leaves_old_logits_alone(make_method) -> None:
    method = make_method(RehearsalClassifier, real_per_class=None, train_over="current")
    begin(method, 2, [(2, 0), (1,), (3, 4)], num_classes=5)
    images, labels = torch.ones(2, 1, 2, 2), torch.tensor([3, 4])
    method.loss("discriminator", {"x": images, "y": labels}).backward()
    gradient = method.discriminator.label.bias.grad
    assert (gradient[:3] == 0).all() and (gradient[3:] != 0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"real_per_class": 2, "real_total": 9}, "real_per_class=2 and method.real_total=9"),
        ({"real_per_class": 2, "train_over": "current"}, "method.train_over=current leaves"),
    ],
)
def test_what_contradicts_is_refused(make_method, settings, message) -> None:
    with pytest.raises(ConfigError, match=message):
        make_method(RehearsalClassifier, **settings)


def test_the_mlp_of_rwalk_has_as_many_numbers_as_counted() -> None:
    network = MLP((1, 32, 32), 10)
    # 1024 * 256 + 256, 256 * 256 + 256, 256 * 10 + 10
    assert sum(p.numel() for p in network.parameters()) == 262_400 + 65_792 + 2_570
    assert network.features(torch.zeros(2, 1, 32, 32)).shape == (2, 256)
    network(torch.full((2, 1, 32, 32), -1.0)).sum().backward()
    first = network.body[1]
    assert (first.weight.grad == 0).all() and (first.bias.grad != 0).any()  # black pictures
