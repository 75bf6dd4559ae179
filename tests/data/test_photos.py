"""The four tasks of the embedded photographs."""

from __future__ import annotations

import hashlib
from itertools import product

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images

from lgan.data.pairs import INPUT, TARGET, half
from lgan.data.photos import (
    CENTRES,
    PALETTE,
    TASKS,
    TEST_BANDS,
    Box,
    _smooth,
    edges,
    grey,
    low_resolution,
    photos,
    segments,
    windows,
)
from lgan.errors import ConfigError


def apart(one: Box, other: Box) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_no_training_box_touches_a_test_band() -> None:
    for task in TASKS.values():
        left, right = TEST_BANDS[task.photograph]
        assert all(box[2] <= left or box[0] >= right for box in task.train)
        assert all(left <= box[0] and box[2] <= right for box in task.test)


def test_no_pixel_is_in_both_parts() -> None:
    """Of the windows as drawn, over all tasks of a photograph."""
    seen = {name: np.zeros((2, 427, 640), bool) for name in TEST_BANDS}
    for name, task in TASKS.items():
        for place, (part, count) in enumerate((("train", 320), ("test", 100))):
            found = windows(name, part, count)
            assert len(set(found)) > 0.9 * count and found == windows(name, part, count)
            boxes = task.train if part == "train" else task.test
            for left, top, right, low in found:
                assert any(
                    b[0] <= left and b[1] <= top and right <= b[2] and low <= b[3] for b in boxes
                )
                seen[task.photograph][place, top:low, left:right] = True
        assert all(apart(*both) for both in product(task.train, task.test))
    for covered in seen.values():
        assert covered[0].any() and covered[1].any() and not (covered[0] & covered[1]).any()


def test_windows_and_colours_are_those_of_all_recorded_runs() -> None:
    """Others make another data set, of which the numbers measured on this one say nothing."""
    parts = product(TASKS, (("train", 320), ("test", 100)))
    found = [windows(name, part, count) for name, (part, count) in parts]
    digest = hashlib.sha256(repr((found, CENTRES, PALETTE)).encode()).hexdigest()
    assert digest.startswith("c3e321116f77fcbf")


def test_targets_are_the_photographs_pixels() -> None:
    """A window of the training size is not resized, so the crop is the photograph itself."""
    bunch = load_sample_images()
    whole = {"china": bunch.images[0], "flower": bunch.images[1]}
    train = photos().train
    compared = 0
    for label, (name, task) in enumerate(TASKS.items()):
        crops = half(train.of_classes([label]), TARGET).all()
        for (left, top, right, low), crop in zip(windows(name, "train", 320), crops, strict=True):
            if right - left == 64:
                expected = whole[task.photograph][top:low, left:right]
                assert np.array_equal(crop.permute(1, 2, 0).numpy(), expected)
                compared += 1
    assert compared > 200


def test_parts_and_inputs() -> None:
    names = ["segments_to_photo", "low_to_high"]
    splits = photos(size=32, tasks=names, train_pairs=5, test_pairs=3)
    assert splits.class_names == tuple(names)
    assert splits.train.shape == splits.validation.shape == (6, 32, 32)
    assert [len(p) for p in (splits.train, splits.validation, splits.test)] == [10, 0, 6]
    assert splits.train.labels.tolist() == [0] * 5 + [1] * 5
    for label, name in enumerate(names):
        pairs = splits.test.of_classes([label])
        inputs, targets = half(pairs, INPUT).all(), half(pairs, TARGET).all()
        assert torch.equal(inputs, TASKS[name].to_input(targets))
        for row in range(3):
            assert torch.equal(inputs[row : row + 1], TASKS[name].to_input(targets[row : row + 1]))
    again = photos(size=32, tasks=names, train_pairs=5, test_pairs=3)
    assert again.train.digest() == splits.train.digest()
    other = photos(size=32, tasks=names, train_pairs=5, test_pairs=3, seed=1)
    assert other.train.digest() != splits.train.digest()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": ["sketch"]}, r"data.splits.tasks=\['sketch'\] must name some of edges_to_photo"),
        ({"tasks": []}, "must name some of"),
        ({"tasks": ["low_to_high"] * 2}, "each once"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        photos(**settings)


def test_smoothing_is_binomial() -> None:
    point = torch.zeros(1, 1, 7, 7)
    point[0, 0, 3, 3] = 256
    row = torch.tensor([0.0, 1, 4, 6, 4, 1, 0])
    torch.testing.assert_close(_smooth(point)[0, 0], torch.outer(row, row))


def test_edges_are_thin_and_where_the_step_is() -> None:
    step = torch.zeros(1, 3, 12, 12, dtype=torch.uint8)
    step[..., 6:] = 200
    for picture in (step, step.transpose(2, 3)):
        lines = edges(picture)
        assert set(lines.unique().tolist()) == {0, 255}
        black = (lines[0, 0] == 0) if picture is step else (lines[0, 0] == 0).t()
        # The step lies between columns 5 and 6, which have the same gradient: the first counts.
        assert black.all(0).nonzero().flatten().tolist() == [5] and black.sum() == 12
    assert (edges(torch.full((1, 3, 8, 8), 90, dtype=torch.uint8)) == 255).all()
    # Smoothed, a step of h has a gradient of 10/32 h where it is largest: 32 is 10, no edge yet.
    steps = [(step / 200 * height).to(torch.uint8) for height in (32, 33)]
    assert [bool((edges(picture) == 0).any()) for picture in steps] == [False, True]


def test_grey_by_hand() -> None:
    picture = torch.tensor([100, 200, 50], dtype=torch.uint8).view(1, 3, 1, 1)
    # 29.9 + 117.4 + 5.7
    assert grey(picture).flatten().tolist() == [153] * 3


def test_low_resolution_by_hand() -> None:
    picture = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    picture[:, :, :, :4] = 160
    picture[:, :, 0, 0] = 0
    row = low_resolution(picture)[0, 0, 7]
    # Means are 150 (top left), 160 and 0; between their centres at 1.5 and 5.5 the row is linear.
    assert row.tolist() == [160, 160, 140, 100, 60, 20, 0, 0]
    assert low_resolution(picture)[0, 0, 0, 0] == 150


def test_segments_are_the_nearest_centres() -> None:
    plain = torch.tensor(CENTRES, dtype=torch.uint8).view(-1, 3, 1, 1).expand(-1, 3, 6, 6)
    painted = segments(plain)
    assert painted[:, :, 3, 3].tolist() == [list(colour) for colour in PALETTE]
    assert torch.equal(painted, painted[:, :, :1, :1].expand_as(painted))


def test_the_centres_are_means_of_what_is_nearest() -> None:
    """So k-means would stay where it is; the pixels are the flower's training half."""
    pixels = load_sample_images().images[1][:, : TEST_BANDS["flower"][0]].reshape(-1, 3)[::4]
    centres = np.array(CENTRES, float)
    nearest = ((pixels[:, None].astype(float) - centres) ** 2).sum(2).argmin(1)
    means = np.stack([pixels[nearest == k].mean(0) for k in range(len(centres))])
    assert np.abs(means - centres).max() < 2
