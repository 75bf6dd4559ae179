"""The exemplar memory keeps within its bound."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from lgan.data.images import TensorImages
from lgan.data.memory import ExemplarMemory
from lgan.errors import ConfigError
from lgan.seeding import Noise

Make = Callable[..., TensorImages]


def kept(memory: ExemplarMemory) -> set[int]:
    return set(memory.images().images[:, 0, 0, 0].tolist())


def test_per_class(make_images: Make) -> None:
    memory = ExemplarMemory(per_class=3)
    memory.add(make_images(2, 8).of_classes([0]))
    memory.add(make_images(2, 8).of_classes([1]))
    assert memory.counts == {0: 3, 1: 3}
    assert len(memory) == 6
    assert all(
        row // 8 == label
        for row, label in zip(
            memory.images().images[:, 0, 0, 0].tolist(), memory.images().labels, strict=True
        )
    )


def test_a_class_with_fewer_pictures_than_its_share(make_images: Make) -> None:
    memory = ExemplarMemory(per_class=30)
    memory.add(make_images(1, 8))
    assert kept(memory) == set(range(8))


def test_total_is_shared_and_old_classes_give_up_some(make_images: Make) -> None:
    memory, images = ExemplarMemory(total=7), make_images(3, 8)
    memory.add(images.of_classes([0]))
    first = kept(memory)
    assert memory.counts == {0: 7}
    memory.add(images.of_classes([1, 2]))
    assert memory.counts == {0: 2, 1: 2, 2: 2}
    assert {row for row in kept(memory) if row < 8} < first
    with pytest.raises(ConfigError, match="method.real_total=2 must be at least 3"):
        ExemplarMemory(total=2).add(images)
    memory = ExemplarMemory(total=3)
    memory.add(images)
    assert memory.counts == {0: 1, 1: 1, 2: 1}


def test_ratio(make_images: Make) -> None:
    memory = ExemplarMemory(ratio=0.25)
    memory.add(make_images(2, 8))
    assert memory.counts == {0: 2, 1: 2}


def test_the_choice_is_a_function_of_seed_and_class(make_images: Make) -> None:
    images = make_images(2, 16)

    def choice(seed: int, *order: int) -> set[int]:
        memory = ExemplarMemory(per_class=4, seed=seed)
        for label in order:
            memory.add(images.of_classes([label]))
        return kept(memory)

    assert choice(0, 0, 1) == choice(0, 1, 0) == choice(0, 0, 1, 1) != choice(1, 0, 1)


def test_draw_is_uniform_and_fixed_by_the_noise(make_images: Make) -> None:
    memory = ExemplarMemory(per_class=2)
    memory.add(make_images(2, 8))
    labels = torch.arange(400) % 2
    images = memory.draw_of(labels, Noise(0))
    assert torch.equal(images, memory.draw_of(labels, Noise(0)))
    rows = images[:, 0, 0, 0]
    of_class = torch.stack([memory.images().images[memory.images().labels == c] for c in (0, 1)])
    places = Noise(0).integers(2**31 - 1, 400) % 2
    assert torch.equal(images, of_class[labels, places]), "what a seed draws stays the same"
    assert torch.equal(rows.long() // 8, labels)
    assert set(rows.tolist()) == kept(memory)
    assert all(60 < int((rows == row).sum()) < 140 for row in kept(memory))
    with pytest.raises(ValueError, match="memory is empty"):
        ExemplarMemory(per_class=1).images()


def test_a_saved_memory_is_the_same(make_images: Make) -> None:
    memory, other = ExemplarMemory(total=5), ExemplarMemory(total=5)
    memory.add(make_images(2, 8))
    other.load_state_dict(memory.state_dict())
    assert other.counts == memory.counts and other.images().digest() == memory.images().digest()


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({}, "exactly one of per_class, total, ratio"),
        ({"per_class": 1, "total": 2}, "exactly one"),
        ({"per_class": 0}, "method.real_per_class=0 must be a positive number"),
        ({"total": -1}, "method.real_total=-1 must be a positive number"),
        ({"ratio": 1.5}, r"method.real_ratio=1.5 must be in \(0, 1\]"),
    ],
)
def test_wrong_bounds_are_refused(bounds: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ExemplarMemory(**bounds)
