"""The embedded digits."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from lgan.data.digits import digits


def test_every_picture_is_in_one_part_and_scaled() -> None:
    splits = digits()
    parts = (splits.train, splits.validation, splits.test)
    assert [part.shape for part in parts] == [(1, 8, 8)] * 3
    original = torch.from_numpy(load_digits().images).flatten(1)
    together = torch.cat([part.all() for part in parts]).flatten(1)
    scaled = (original * 255 / 16).round().to(torch.uint8)
    assert sorted(together.tolist()) == sorted(scaled.tolist())
    assert int(together.max()) == 255
    assert splits.class_names == tuple("0123456789")


def test_the_split_is_stratified_and_stable() -> None:
    splits = digits()
    counts = torch.tensor(load_digits().target).bincount()
    tested, validated, trained = (
        part.labels.bincount() for part in (splits.test, splits.validation, splits.train)
    )
    assert ((tested - counts * 0.25).abs() <= 0.5).all()
    assert ((validated - (counts - tested) * 0.1).abs() <= 0.5).all()
    assert torch.equal(trained + validated + tested, counts)
    # Pinned: results of different versions are compared on the same pictures.
    assert [part.digest()[:12] for part in (splits.train, splits.test)] == [
        "0e61e43705c3",
        "481843bf39fd",
    ]
    assert digits(seed=1).test.digest() != splits.test.digest()


def test_labels_belong_to_their_pictures() -> None:
    bunch = load_digits()
    known = {
        tuple((row * 255 / 16).round().astype(int)): int(label)
        for row, label in zip(bunch.data, bunch.target, strict=True)
    }
    test = digits().test
    flat = test.all().flatten(1).tolist()
    assert [known[tuple(row)] for row in flat] == test.labels.tolist()
