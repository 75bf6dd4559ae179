"""FID, KID, precision, recall and diversity against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from lgan.metrics.diversity import pixel_deviation
from lgan.metrics.fid import FID, fid
from lgan.metrics.kid import KID, kid
from lgan.metrics.precision_recall import precision_recall


def gaussian(count: int, seed: int, dims: int = 4) -> torch.Tensor:
    return torch.randn(count, dims, generator=torch.Generator().manual_seed(seed))


def test_fid_of_shift_is_squared_distance() -> None:
    features = gaussian(300, 0)
    shifted = features + torch.tensor([1.0, -2.0, 0.5, 0.0])
    assert fid(features, shifted) == pytest.approx(1 + 4 + 0.25, abs=1e-5)
    assert fid(features, features) == pytest.approx(0, abs=1e-5)


def test_fid_of_scaled_gaussian() -> None:
    # Tr(S + 9S - 2 * 3S) = 4 Tr(S), mean moved as well by 2 * mean
    features = gaussian(500, 1)
    expected = (
        4 * features.double().var(dim=0).sum() + (2 * features.double().mean(0)).square().sum()
    )
    assert fid(3 * features, features) == pytest.approx(expected.item(), rel=1e-5)


def test_fid_of_two_samples_of_two_gaussians() -> None:
    found = fid(gaussian(20000, 2), gaussian(20000, 3) * 2 + 1)
    assert found == pytest.approx(4 * (1 + (2 - 1) ** 2), rel=0.03)


def test_fid_of_single_feature() -> None:
    one, two = torch.tensor([[0.0], [2.0]]), torch.tensor([[5.0], [7.0]])
    assert fid(one, two) == pytest.approx(25)


def test_kid_is_about_zero_for_one_distribution_and_grows_with_shift() -> None:
    features, others = gaussian(600, 4), gaussian(400, 5)
    assert abs(kid(features, others)[0]) < 0.02
    assert kid(features, others + 1)[0] > 0.5
    assert kid(features, others, seed=1) == kid(features, others, seed=1)
    assert kid(features, others, seed=1) != kid(features, others, seed=2)
    assert kid(features, others, subset_size=50)[1] > 0


def test_kid_by_hand() -> None:
    # D = 1, kernel (xy + 1)^3: XX off-diagonal 1 (0 * 1), YY 27 (1 * 2), XY mean of 1, 1, 8, 27
    found = kid(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]]))
    assert found == (pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4), 0.0), "one subset is all"


def test_precision_and_recall_tell_quality_from_diversity() -> None:
    real = gaussian(400, 6)
    assert precision_recall(real, real) == (1.0, 1.0)
    collapsed = 0.05 * gaussian(400, 7)
    precision, recall = precision_recall(collapsed, real)
    assert precision > 0.95 and recall < 0.1
    assert precision_recall(real + 100, real) == (0.0, 0.0)


def test_too_few_samples_are_nan_not_an_error() -> None:
    one, three = gaussian(1, 0), gaussian(3, 0)
    assert math.isnan(fid(one, three)) and all(map(math.isnan, kid(one, three)))
    assert all(math.isnan(value) for value in precision_recall(three, gaussian(9, 1)))
    assert math.isnan(pixel_deviation(torch.zeros(1, 1, 2, 2, dtype=torch.uint8)))


@pytest.mark.parametrize(("metric", "value"), [(FID, fid), (KID, lambda *two: kid(*two)[0])])
def test_a_metric_says_with_how_few_samples_it_is_nan(metric, value) -> None:
    features = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    least = metric.least
    assert math.isnan(value(features[: least - 1], features))
    assert math.isnan(value(features, features[: least - 1]))
    assert math.isfinite(value(features[:least], features[:least]))


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for distance in (fid, kid, precision_recall):
        distance(gaussian(20, 8), gaussian(20, 9))
    output = capsys.readouterr()
    assert output.out == "" and output.err == ""


def test_pixel_deviation_by_hand() -> None:
    # pixel 0: 0 and 2 (unbiased deviation sqrt 2), pixel 1: constant
    images = torch.tensor([[0, 7], [2, 7]], dtype=torch.uint8).view(2, 1, 1, 2)
    assert pixel_deviation(images) == pytest.approx(math.sqrt(2) / 2)
