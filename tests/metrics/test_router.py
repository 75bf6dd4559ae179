"""The router's features worked by hand, and its statistics against scikit-learn's and SciPy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from lgan.data.pairs import INPUT, half
from lgan.data.photos import photos
from lgan.errors import RunError
from lgan.files import load_tensors, save_tensors
from lgan.metrics import router as module
from lgan.metrics.router import Router, features, features_of_rows

SHRINKAGE = 0.02
PARTS = ("means", "covariances", "counts", "limits")


@pytest.fixture(scope="module")
def sets() -> tuple[list[Tensor], list[Tensor]]:
    """Features of the training and test inputs of four tasks."""
    splits = photos(size=16, train_pairs=24, test_pairs=12)
    found = []
    for images in (half(splits.train, INPUT), half(splits.test, INPUT)):
        found.append([features(images.of_classes([task]).all()) for task in range(4)])
    return found[0], found[1]


def learnt(tasks: list[Tensor], quantile: float = 0.9) -> Router:
    router = Router(SHRINKAGE)
    for task in tasks:
        router = router.learn(task, quantile)
    return router


def shrunk(covariance: np.ndarray) -> np.ndarray:
    return (1 - SHRINKAGE) * covariance + SHRINKAGE * np.eye(len(covariance))


class Shrunk:
    """A class's covariance as scikit-learn asks for it; its own shrinks to the mean variance."""

    def fit(self, x: np.ndarray) -> None:
        self.covariance_ = shrunk(np.cov(x.T, bias=True))


def test_it_is_linear_discriminant_analysis(sets) -> None:
    train, test = sets
    router = learnt(train)
    lda = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=Shrunk())
    lda.fit(torch.cat(train).numpy(), np.repeat(np.arange(4), 24))
    # Far from the means, too, where tasks meet.
    mixed = torch.lerp(test[0], test[2], torch.linspace(0, 1, 12).double()[:, None])
    for x in (*test, mixed):
        tasks, _ = router.route(x)
        np.testing.assert_array_equal(tasks, lda.predict(x.numpy()))
    assert len(set(router.route(mixed)[0].tolist())) > 1
    for own, x in enumerate(test):
        assert (router.route(x)[0] == own).double().mean() > 0.9  # chance: 1/4


def test_the_distance_is_mahalanobis_by_the_task_s_own_covariance(sets) -> None:
    train, test = sets
    router = learnt(train)
    for own, x in enumerate(test):
        tasks, away = router.route(x)
        inverse = np.linalg.inv(shrunk(np.cov(train[own].T, bias=True)))
        expected = cdist(x, train[own].mean(0)[None], "mahalanobis", VI=inverse)[:, 0]
        mine = tasks == own
        found = away[mine] * router.limits[own].sqrt()
        np.testing.assert_allclose(found, expected[mine], rtol=1e-9)


def test_the_limit_is_a_quantile_of_distances_to_the_others(sets) -> None:
    task, found = sets[0][1], []
    for index in range(len(task)):
        others = np.delete(task.numpy(), index, 0)
        inverse = np.linalg.inv(shrunk(np.cov(others.T, bias=True)))
        away = task[index].numpy() - others.mean(0)
        found.append(away @ inverse @ away)
    for quantile in (0.5, 0.999):
        limit = Router(SHRINKAGE).learn(task, quantile).limits.item()
        assert limit == pytest.approx(np.quantile(found, quantile), rel=1e-9)
    inside = Router(SHRINKAGE).learn(task, 0.999)
    assert (inside.route(task)[1] <= 1).all()


def test_task_by_task_is_all_at_once(sets) -> None:
    """Statistics of a task do not depend on those before; the shared covariance is the pooled."""
    train, test = sets
    router, turned = learnt(train), learnt(train[::-1])
    for part in PARTS:
        assert torch.equal(getattr(router, part), getattr(turned, part).flip(0))
    for tasks in range(1, 4):
        for part in PARTS:
            early = getattr(learnt(train[:tasks]), part)
            assert torch.equal(getattr(router.first(tasks), part), early)
    uneven = [train[0][:20], train[1], train[2][:9]]
    within = torch.cat([task - task.mean(0) for task in uneven])
    inverse = np.linalg.inv(shrunk((within.T @ within / len(within)).numpy()))
    means = torch.stack([task.mean(0) for task in uneven])
    for x in test:
        expected = cdist(x, means, "mahalanobis", VI=inverse).argmin(1)
        np.testing.assert_array_equal(learnt(uneven).route(x)[0], expected)


def test_what_is_unlike_all_tasks_is_far_from_each(sets) -> None:
    router = learnt(sets[0], 0.999)
    noise = torch.randint(0, 256, (5, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    strange = [noise.to(torch.uint8), torch.full((1, 3, 16, 16), 200, dtype=torch.uint8)]
    for pictures in strange:
        assert (router.route(features(pictures))[1] > 1).all()


def test_one_picture_has_no_limit_and_like_ones_have_a_narrow_one() -> None:
    same = features(torch.full((3, 1, 8, 8), 50, dtype=torch.uint8))
    other = features(torch.full((1, 1, 8, 8), 51, dtype=torch.uint8))
    assert Router(SHRINKAGE).learn(same[:1], 0.9).route(other)[1].item() == 0
    router = Router(SHRINKAGE).learn(same, 0.9)
    assert router.route(same)[1].tolist() == [0, 0, 0]
    assert router.route(other)[1].item() > 1


def test_features_by_hand() -> None:
    picture = torch.tensor([[0, 10], [20, 40]], dtype=torch.uint8)[None, None]
    third = np.mean((np.array([0, 10, 20, 40]) - 17.5) ** 3)
    moments = [17.5 / 255, np.std([0, 10, 20, 40]) / 255, math.cbrt(third) / 255]
    expected = [4 * moment for moment in moments]
    for step in (10, 20, 40, 10):  # right, down, and both diagonals
        expected += [math.log1p(step), math.log1p(step), 0.0]
    np.testing.assert_allclose(features(picture)[0], expected, atol=2**-17)
    colour = torch.cat((picture, picture + 30, picture), 1)  # of the sum's mean, twice the steps
    found = features(colour)[0]
    assert found[9:11].tolist() == pytest.approx([4 * 30 / 255] * 2, abs=2**-17)
    assert torch.equal(found[11:], features(picture)[0, 3:])


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 9), (2, 5, 3), (3, 33, 47), (1, 300, 520)])
def test_features_of_any_size_are_the_same_in_any_company(shape) -> None:
    source = torch.Generator().manual_seed(1)
    pictures = torch.randint(0, 256, (5, *shape), generator=source).to(torch.uint8)
    found = features(pictures)
    assert found.dtype == torch.float64 and torch.isfinite(found).all()
    assert torch.equal(found, torch.cat([features(one[None]) for one in pictures]))
    assert torch.equal(found[[3, 0]], features_of_rows(pictures.__getitem__, torch.tensor([3, 0])))
    assert torch.equal(found * module.GRID, (found * module.GRID).round())
    assert len(features(pictures[:0])) == 0


def test_detail_beyond_a_size_does_not_count() -> None:
    """Large pictures are halved first, and one that is twice as large is the same again."""
    small = torch.randint(0, 256, (1, 3, 128, 200), generator=torch.Generator().manual_seed(2))
    large = small.to(torch.uint8).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(features(small.to(torch.uint8)), features(large))


def test_a_saved_router_is_the_same_and_others_are_refused(tmp_path, sets) -> None:
    router, path, stamp = learnt(sets[0]), tmp_path / "router.pt", {"run": "a", "data": "b"}
    router.save(path, stamp)
    again = Router.load(path, stamp)
    assert again.shrinkage == SHRINKAGE
    assert all(torch.equal(getattr(router, part), getattr(again, part)) for part in PARTS)
    with pytest.raises(RunError, match="is of another run"):
        Router.load(path, {"run": "c", "data": "b"})
    save_tensors(path, load_tensors(path) | {"features": "others, 7"})
    with pytest.raises(RunError, match=r"router.pt .* other features \(others, 7; here: moments"):
        Router.load(path, stamp)
