from __future__ import annotations

import pytest
import torch

from lgan.errors import RunError
from lgan.objectives.cyclegan import ImagePool
from lgan.seeding import Noise


def pictures(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None, None]


class Scripted:
    """A noise source with a script: who changes places, and with which place."""

    def __init__(self, uniforms, places) -> None:
        self.uniforms, self.places = uniforms, places

    def whole(self):
        return self

    def uniform(self, count):
        return torch.tensor(self.uniforms[:count])

    def integers(self, high, count):
        return torch.tensor(self.places[:count])


def values(images: torch.Tensor) -> list[float]:
    return images.flatten().tolist()


def test_by_hand() -> None:
    pool = ImagePool(2)
    assert values(pool.query(pictures(1, 2), Scripted([0.0, 0.0], [0, 0]))) == [1, 2]
    # 3 changes places with 2; 4 (0.5 is not below 1/2) comes back; 5 with 3, put there just now.
    script = Scripted([0.1, 0.5, 0.49], [1, 0, 1])
    assert values(pool.query(pictures(3, 4, 5), script)) == [2, 4, 3]
    assert values(pool.state_dict()["images"]) == [1, 5]


def test_a_batch_across_the_brim() -> None:
    pool = ImagePool(2)
    out = pool.query(pictures(1, 2, 3), Scripted([0.0, 0.0, 0.0], [1, 1, 0]))
    assert values(out) == [1, 2, 1]
    assert values(pool.state_dict()["images"]) == [3, 2]


def test_the_first_fifty_come_back_then_half_of_them() -> None:
    pool, noise = ImagePool(50), Noise(0)
    for number in range(50):
        noise.reseed("pool", number)
        assert values(pool.query(pictures(number), noise)) == [number]
    swapped = 0
    for number in range(50, 1050):
        noise.reseed("pool", number)
        (out,) = values(pool.query(pictures(number), noise))
        assert out <= number
        swapped += out != number
    assert 440 < swapped < 560  # 500 expected, standard deviation 16
    assert len(pool.state_dict()["images"]) == 50


def test_size_zero_is_off() -> None:
    pool = ImagePool(0)
    assert values(pool.query(pictures(1, 2), Noise(0))) == [1, 2]
    assert len(pool.state_dict()["images"]) == 0


def test_no_gradient_and_no_shared_memory() -> None:
    images = pictures(1, 2).requires_grad_()
    pool = ImagePool(2)
    out = pool.query(images, Noise(0))
    assert not out.requires_grad
    out.fill_(9)
    with torch.no_grad():
        images.fill_(7)
    assert values(pool.state_dict()["images"]) == [1, 2]


@pytest.mark.parametrize("before", [0, 1, 3, 8])
def test_going_on_from_saved_state_is_exact(before) -> None:
    """Empty, half full or full: the same pictures come back as without the interruption."""

    def step(pool, number):
        noise = Noise(0)
        noise.reseed("step", number)
        return values(pool.query(pictures(2 * number, 2 * number + 1), noise))

    whole, stopped = ImagePool(5), ImagePool(5)
    for number in range(before):
        step(whole, number), step(stopped, number)
    resumed = ImagePool(5)
    resumed.load_state_dict(stopped.state_dict())
    for number in range(before, before + 20):
        assert step(resumed, number) == step(whole, number)


def test_saved_state_is_a_copy() -> None:
    pool = ImagePool(1)
    pool.query(pictures(1), Noise(0))
    saved = pool.state_dict()
    pool.query(pictures(2), Scripted([0.0], [0]))
    assert values(saved["images"]) == [1]
    assert values(pool.state_dict()["images"]) == [2]


def test_reset_empties() -> None:
    pool = ImagePool(2)
    pool.query(pictures(1, 2), Noise(0))
    pool.reset()
    assert values(pool.query(pictures(3, 4), Scripted([0.0, 0.0], [0, 0]))) == [3, 4]


def test_senseless_sizes_are_refused() -> None:
    pool = ImagePool(2)
    pool.query(pictures(1, 2), Noise(0))
    with pytest.raises(RunError, match="has 2 pictures and objective.pool_size=1"):
        ImagePool(1).load_state_dict(pool.state_dict())
