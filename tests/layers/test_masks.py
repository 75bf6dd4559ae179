"""Masks: bits, annealing, compensation and regulariser against cases worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from lgan.layers.masks import (
    Annealing,
    TaskMasks,
    pack_bits,
    sparsity,
    unpack_bits,
)

CPU = torch.device("cpu")


def test_bits_are_packed_from_the_lowest() -> None:
    mask = torch.tensor([1, 0, 0, 0, 0, 0, 0, 1, 0, 1], dtype=torch.bool)
    assert pack_bits(mask).tolist() == [0b10000001, 0b10]


@pytest.mark.parametrize("shape", [(1,), (8,), (3, 5), (2, 3, 4, 4)])
def test_bits_come_back(shape) -> None:
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.3
    bits = pack_bits(mask)
    assert len(bits) == math.ceil(mask.numel() / 8)
    assert torch.equal(unpack_bits(bits, shape), mask)


def test_annealing_of_the_paper_reaches_both_ends() -> None:
    """s_max = 10, I = 3 epochs of B = 2 batches: s_max^i = 1/10, (1/10 + 10)/2, 10."""
    annealing = Annealing(scale=10.0, epochs=3)
    middle = 0.5 * (0.1 + 10)
    tops, scales = zip(*(annealing.at(step, 6) for step in range(6)), strict=True)
    assert tops == pytest.approx([0.1, 0.1, middle, middle, 10, 10])
    # In the first epoch the local scale runs backwards, from s_max to 1/s_max.
    assert scales == pytest.approx([10, 0.1, 1 / middle, middle, 0.1, 10])


def test_annealing_of_the_code_stops_one_short() -> None:
    """101 epochs: 9,901 of 10,000 in the last one (papers/dgm.md, section 2)."""
    annealing = Annealing(scale=1e4, epochs=101, local=False, end="code")
    assert annealing.at(100 * 80, 101 * 80)[0] == pytest.approx(9901, abs=0.5)
    assert Annealing(1e4, 101, False, "code_imagenet").at(8079, 8080)[0] == pytest.approx(1e4)


def test_annealing_of_the_code_within_an_epoch() -> None:
    """The last of 4 batches reaches 3/4 of s_max^i."""
    top, scale = Annealing(scale=8.0, epochs=2, end="code").at(7, 8)
    assert top == pytest.approx(1 / 8 + (8 - 1 / 8) / 2)
    assert scale == pytest.approx(1 / top + (top - 1 / top) * 0.75)


def test_global_annealing_only() -> None:
    annealing = Annealing(scale=10.0, epochs=2, local=False)
    assert [annealing.at(step, 4) for step in (0, 1, 2, 3)] == [(0.1, 0.1)] * 2 + [(10.0, 10.0)] * 2


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 100, 101, 1000])
def test_annealing_has_no_zero_by_zero_and_ends_at_the_top(steps) -> None:
    annealing = Annealing(scale=100.0, epochs=101)
    scales = [annealing.at(step, steps) for step in range(steps)]
    assert scales[-1] == pytest.approx((100.0, 100.0))
    assert all(0 < s <= 100.0 + 1e-9 for pair in scales for s in pair)
    epochs = [annealing.epoch(step, steps) for step in range(steps)]
    assert epochs == sorted(epochs) and epochs[-1] == min(101, steps) - 1


def started(values: list[float], scale: float = 1.0) -> TaskMasks:
    masks = TaskMasks()
    masks.add_task((len(values),), CPU)
    masks.embedding.data = torch.tensor(values, dtype=torch.float64)
    masks.scale = scale
    return masks


def test_compensation_gives_the_gradient_of_an_unscaled_sigmoid() -> None:
    """After it dL/de = dL/dm * s_max * sigma'(e), whatever s was."""
    masks = started([-0.5, -0.01, 0.0, 0.02, 0.6], scale=20.0)
    upstream = torch.tensor([1.0, -2.0, 3.0, 0.5, -1.0], dtype=torch.float64)
    (masks.soft() * upstream).sum().backward()
    masks.compensate(top=50.0)
    e = masks.embedding.detach()
    expected = upstream * 50.0 * torch.sigmoid(e) * (1 - torch.sigmoid(e))
    torch.testing.assert_close(masks.embedding.grad, expected)


def test_compensation_clips() -> None:
    """s e = 100: cosh is taken of 50."""
    masks = started([1.0], scale=100.0)
    masks.embedding.grad = torch.ones(1, dtype=torch.float64)
    masks.compensate(top=100.0)
    assert masks.embedding.grad.item() == pytest.approx((math.cosh(50) + 1) / (math.cosh(1) + 1))


def test_masks_over_tasks() -> None:
    """e >= 0 is reserved, zero included; the union grows; a wider task starts free."""
    masks = started([-1.0, 0.0, 2.0])
    assert masks.finished == 0
    masks.commit()
    assert masks.of(0).tolist() == [False, True, True] and masks.finished == 1
    masks.add_task((4,), CPU)
    assert masks.free.tolist() == [1, 0, 0, 1]
    assert masks.soft().tolist() == [0.5] * 4
    masks.embedding.data = torch.tensor([1.0, -1.0, -1.0, -1.0])
    masks.commit()
    assert masks.cumulated().tolist() == [True, True, True, False]
    assert masks.cumulated(tasks=1).tolist() == [False, True, True, False]
    assert masks.of(0).tolist() == [False, True, True], "older masks keep their shape"


def test_regulariser_by_hand() -> None:
    """Two masks: free elements 1 + 2 of them; sigma(0) = 1/2, sigma(ln 3) = 3/4."""
    first, second = started([5.0, -5.0]), started([-5.0, -5.0])
    for masks in (first, second):
        masks.commit()
        masks.add_task((2,), CPU)
    first.embedding.data = torch.tensor([7.0, math.log(3)])  # the first one is reserved: free
    second.embedding.data = torch.tensor([0.0, 0.0])
    assert sparsity([first, second]).item() == pytest.approx((0.75 + 0.5 + 0.5) / 3)


def test_regulariser_of_the_first_task_is_the_mean_mask() -> None:
    assert sparsity([started([0.0, math.log(3)])]).item() == pytest.approx((0.5 + 0.75) / 2)


def test_regulariser_without_free_elements_is_zero() -> None:
    masks = started([1.0])
    masks.commit()
    masks.add_task((1,), CPU)
    assert sparsity([masks]).item() == 0.0


def test_an_epochs_first_step_is_its_first_where_steps_do_not_divide() -> None:
    """7 steps in 3 epochs of 3, 2 and 2: the local scale starts again at steps 0, 3 and 5."""
    annealing = Annealing(scale=10.0, epochs=3)
    assert [annealing.epoch(step, 7) for step in range(7)] == [0, 0, 0, 1, 1, 2, 2]
    for step, (fraction, top) in enumerate(
        [(0, 0.1), (0.5, 0.1), (1, 0.1), (0, 5.05), (1, 5.05), (0, 10.0), (1, 10.0)]
    ):
        expected = 1 / top + (top - 1 / top) * fraction
        assert annealing.at(step, 7) == (pytest.approx(top), pytest.approx(expected)), step
