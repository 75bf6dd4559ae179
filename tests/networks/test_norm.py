from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from lgan.networks.norm import ClassBatchNorm2d

MIXED = torch.tensor([2, 0, 2, 5, 0, 2, 5])


def norm_with_random_affine(conditional: bool = True) -> ClassBatchNorm2d:
    norm = ClassBatchNorm2d(4, 6, conditional=conditional)
    torch.nn.init.normal_(norm.scale)
    torch.nn.init.normal_(norm.offset)
    return norm


def test_worked_by_hand() -> None:
    # Class 0: values 1, 3 -> mean 2, biased variance 1. Class 1: 10, 30 -> mean 20, variance 100.
    x = torch.tensor([1.0, 10.0, 3.0, 30.0]).view(4, 1, 1, 1)
    norm = ClassBatchNorm2d(1, 2)
    with torch.no_grad():
        norm.scale.copy_(torch.tensor([[1.0], [2.0]]))
        norm.offset.copy_(torch.tensor([[0.0], [5.0]]))
    out = norm(x, torch.tensor([0, 1, 0, 1])).flatten()
    torch.testing.assert_close(out, torch.tensor([-1.0, 3.0, 1.0, 7.0]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("conditional", [True, False])
def test_mixed_batch_equals_one_class_pure_call_per_class(conditional: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(len(MIXED), 4, 8, 8) * 3 + 1
    norm = norm_with_random_affine(conditional)
    out = norm(x, MIXED)
    for label in (0, 2, 5):
        rows = label == MIXED
        torch.testing.assert_close(out[rows], norm(x[rows], MIXED[rows]), atol=1e-6, rtol=1e-6)
        scale, offset = (
            (norm.scale[label], norm.offset[label]) if conditional else (norm.scale, norm.offset)
        )
        plain = F.batch_norm(x[rows], None, None, scale, offset, training=True)
        torch.testing.assert_close(out[rows], plain, atol=5e-6, rtol=1e-5)


def test_other_classes_in_the_batch_do_not_move_a_class() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(6, 4, 5, 5), torch.tensor([1, 1, 1, 3, 3, 3])
    other = torch.cat([x[:3], 100 * torch.randn(3, 4, 5, 5)])
    norm = norm_with_random_affine()
    assert torch.equal(norm(x, y)[:3], norm(other, y)[:3])
    whole = ClassBatchNorm2d(4, 6, statistics="batch")
    assert not torch.allclose(whole(x, y)[:3], whole(other, y)[:3], atol=0.1)


def test_a_large_mean_costs_no_accuracy() -> None:
    torch.manual_seed(0)
    x = torch.randn(7, 4, 8, 8)
    norm = ClassBatchNorm2d(4, 6)
    torch.testing.assert_close(norm(x + 1000, MIXED), norm(x, MIXED), atol=1e-3, rtol=1e-3)


def test_eval_mode_uses_the_batch_too() -> None:
    x = torch.randn(7, 4, 3, 3)
    norm = norm_with_random_affine()
    assert torch.equal(norm(x, MIXED), norm.eval()(x, MIXED))
    assert not list(norm.buffers())


def test_rows_of_absent_classes_get_exactly_zero_gradient() -> None:
    norm = norm_with_random_affine()
    norm(torch.randn(7, 4, 3, 3), MIXED).pow(3).sum().backward()
    for table in (norm.scale, norm.offset):
        assert torch.equal(table.grad[[1, 3, 4]], torch.zeros(3, 4))
        assert (table.grad[[0, 2, 5]] != 0).all()


def test_gradient_is_that_of_batch_norm() -> None:
    torch.manual_seed(0)
    x = torch.randn(5, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    norm = ClassBatchNorm2d(2, 3)
    pure = torch.zeros(5, dtype=torch.int64)
    weight = torch.randn(5, 2, 2, 2, dtype=torch.float64)
    ours = torch.autograd.grad((norm(x, pure) * weight).sum(), x)[0]
    plain = torch.autograd.grad((F.batch_norm(x, None, None, training=True) * weight).sum(), x)[0]
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("conditional", [True, False])
def test_batch_statistics_are_those_of_batch_norm(conditional: bool) -> None:
    x = torch.randn(7, 4, 3, 3)
    norm = ClassBatchNorm2d(4, 6, conditional=conditional, statistics="batch")
    torch.testing.assert_close(norm(x, MIXED), F.batch_norm(x, None, None, training=True))
    with torch.no_grad():
        norm.offset += 1
    torch.testing.assert_close(norm(x, MIXED), F.batch_norm(x, None, None, training=True) + 1)


def test_autocast_does_not_round_the_statistics() -> None:
    torch.manual_seed(0)
    x, norm = torch.randn(7, 4, 8, 8) + 20, ClassBatchNorm2d(4, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = norm(x, MIXED)
    assert torch.equal(inside, norm(x, MIXED))


def test_without_statistics_an_image_depends_on_itself_alone() -> None:
    norm = ClassBatchNorm2d(4, 6, statistics="none")
    torch.nn.init.normal_(norm.scale)
    x, y = torch.randn(3, 4, 2, 2), torch.tensor([0, 5, 0])
    expected = norm.scale[y][..., None, None] * x + norm.offset[y][..., None, None]
    torch.testing.assert_close(norm(x, y), expected)
