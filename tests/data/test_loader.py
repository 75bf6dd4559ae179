"""Batches are a pure function of (seed, task, step)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lgan.data.image_folder import image_folder
from lgan.data.images import FileImages, TensorImages
from lgan.data.loader import BatchLoader, check_batch_size
from lgan.errors import ConfigError

Make = Callable[..., TensorImages]


def rows(item: list[dict[str, torch.Tensor]]) -> list[int]:
    return [int(v) for batch in item for v in batch["x"][:, 0, 0, 0]]


def same(a: list, b: list) -> bool:
    return len(a) == len(b) and all(
        torch.equal(p[k], q[k])
        for x, y in zip(a, b, strict=True)
        for p, q in zip(x, y, strict=True)
        for k in ("x", "y")
    )


def test_an_item_is_a_function_of_seed_task_and_step(make_images: Make) -> None:
    images = make_images(4, 8)
    a, b = (BatchLoader(images, 8, 2, 6, seed=1, task=0) for _ in range(2))
    in_order = list(a)
    assert same([b[s] for s in reversed(range(6))], in_order[::-1])
    for other in (BatchLoader(images, 8, 2, 6, 2, 0), BatchLoader(images, 8, 2, 6, 1, 1)):
        assert rows(other[0]) != rows(in_order[0])


def test_an_epoch_visits_each_picture_once_and_epochs_differ(make_images: Make) -> None:
    loader = BatchLoader(make_images(4, 8), 8, draws=2, steps=4, seed=0, task=0)
    items = [rows(item) for item in loader]
    assert sorted(items[0] + items[1]) == sorted(items[2] + items[3]) == list(range(32))
    assert items[0] + items[1] != items[2] + items[3]
    batch = loader[0][0]
    assert batch["x"].shape == (8, 1, 4, 4) and batch["x"].dtype == torch.uint8
    assert torch.equal(batch["y"], batch["x"][:, 0, 0, 0].long() // 8)


def test_the_remainder_of_an_epoch_is_left_out_without_repeats(make_images: Make) -> None:
    loader = BatchLoader(make_images(1, 11), 4, draws=1, steps=20, seed=0, task=0)
    items = [rows(item) for item in loader]
    epochs = [items[i] + items[i + 1] for i in range(0, 20, 2)]
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert len({tuple(sorted(set(range(11)) - set(epoch))) for epoch in epochs}) > 1


def test_ranks_see_together_what_one_sees(make_images: Make) -> None:
    images = make_images(4, 8)
    one = BatchLoader(images, 8, 3, 5, 0, 2)
    two = [BatchLoader(images, 8, 3, 5, 0, 2, rank=r, world=2) for r in range(2)]
    for step in range(5):
        for draw in range(3):
            for key in ("x", "y"):
                parts = [loader[step][draw][key] for loader in two]
                assert [len(part) for part in parts] == [4, 4]
                # Each rank takes every N-th row.
                dealt = torch.stack(parts, dim=1).flatten(0, 1)
                assert torch.equal(dealt, one[step][draw][key])


def test_a_saved_state_resumes_after_the_items_handed_out(make_images: Make) -> None:
    images = make_images(4, 8)
    whole = list(BatchLoader(images, 8, 2, 6, 0, 0))
    first = BatchLoader(images, 8, 2, 6, 0, 0)
    handed_out = [item for item, _ in zip(first, range(2), strict=False)]
    # zip has fetched a third item before it stopped; a training step would have used it.
    assert first.state_dict() == {"step": 3} and len(first) == 6
    second = BatchLoader(images, 8, 2, 6, 0, 0)
    second.load_state_dict(first.state_dict())
    assert same([*handed_out, whole[2], *second], whole)
    assert same(list(second), whole), "a finished loader starts over"


@pytest.mark.parametrize("workers", [0, 2])
def test_streaming_gives_the_same_bits(folder: Path, workers: int) -> None:
    files = image_folder(str(folder), size=6).train
    assert isinstance(files, FileImages)
    settings = (4, 2, 5, 3, 1)
    memory = list(BatchLoader(files.load(), *settings))
    before = torch.get_rng_state()
    streaming = BatchLoader(files, *settings, num_workers=workers)
    assert same(list(streaming), memory)
    assert torch.equal(torch.get_rng_state(), before), "torch's global stream is untouched"
    streaming.load_state_dict({"step": 3})
    assert same(list(streaming), memory[3:])


def test_streaming_counts_what_was_handed_out_not_what_workers_fetched(folder: Path) -> None:
    files = image_folder(str(folder), size=6).train
    loader = BatchLoader(files, 4, 1, 8, 0, 0, num_workers=1)
    next(iter(loader))
    assert loader.state_dict() == {"step": 1}


def test_a_batch_must_fit_the_data_and_the_ranks(make_images: Make) -> None:
    with pytest.raises(ConfigError, match="training.batch_size=1025 .* 1024, with 8 training"):
        BatchLoader(make_images(1, 8), 1025, 1, 1, 0, task=3)
    with pytest.raises(ConfigError, match="training.batch_size=0 must"):
        BatchLoader(make_images(1, 8), 0, 1, 1, 0, task=3)
    with pytest.raises(ConfigError, match="training.batch_size=8 .* multiple of the 3 processes"):
        BatchLoader(make_images(1, 8), 8, 1, 1, 0, 0, rank=0, world=3)


def test_few_pictures_fill_a_batch_by_repetition(make_images: Make) -> None:
    images = make_images(1, 3)
    loader = BatchLoader(images, 8, 2, 4, seed=0, task=0)
    drawn = [rows(item) for item in loader]
    for batch in (part for item in drawn for part in torch.tensor(item).split(8)):
        assert sorted(batch.bincount().tolist()) == [2, 3, 3], "whole permutations, then a part"
    assert drawn == [rows(loader[step]) for step in range(4)]
    halves = [BatchLoader(images, 8, 2, 4, 0, 0, rank=r, world=2)[1] for r in (0, 1)]
    assert sorted(rows(halves[0]) + rows(halves[1])) == sorted(drawn[1])


def test_a_batch_of_one_will_do(make_images: Make) -> None:
    assert len(rows(BatchLoader(make_images(1, 3), 1, 1, 3, 0, 0)[0])) == 1
    check_batch_size(1, 1)
    with pytest.raises(ConfigError, match="training.batch_size=1 must lie .* with 0 training"):
        check_batch_size(1, 0)
