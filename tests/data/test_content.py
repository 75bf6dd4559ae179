"""What the pictures are: the same wherever they lie, told apart by class, part and bits."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lgan.data import content
from lgan.data.content import changes, content_of
from lgan.data.found import Found
from lgan.data.image_folder import image_folder, read_classes
from lgan.data.images import FileImages, ImageSplits, TensorImages


def splits(root: Path, **settings: float) -> ImageSplits:
    return image_folder(str(root), size=8, validation_fraction=0.0, **settings)


@pytest.fixture
def root(tmp_path: Path, picture) -> Path:
    for name in "ab":
        for number in range(5):
            place = tmp_path / "root" / "train" / name / f"{number}.png"
            picture(place, seed=number + 10 * (name == "b"))
    return tmp_path / "root"


def test_a_copy_is_the_same_and_a_picture_more_is_not(root: Path, tmp_path: Path) -> None:
    found = content_of(splits(root))
    assert found["root"] == str(root / "train") and found["by"] == "content"
    assert {n: c["train"] + c["test"] for n, c in found["classes"].items()} == {"a": 5, "b": 5}
    shutil.copytree(root, tmp_path / "copy")
    assert changes(found, content_of(splits(tmp_path / "copy"))) == []
    shutil.copy(root / "train/b/0.png", root / "train/a/9.png")
    first, *_ = changes(found, content_of(splits(root)))  # what is held out of b may change too
    assert first.startswith("class a has other numbers of pictures (5 for 4 in train")


def test_what_changed_is_named() -> None:
    def told(*classes: tuple[str, int, str], init: str = "") -> dict:
        each = {name: {"train": count, "validation": 0, "test": 1, "digest": digest}
                for name, count, digest in classes}  # fmt: skip
        return {"digest": str(each), "init_from": [init], "classes": each}

    a, b = ("a", 3, "x"), ("b", 3, "y")
    assert changes({}, told(a)) == [] == changes(told(a, b), told(a, b))
    assert changes(told(a), told(b)) == ["class a is gone", "class b was added"]
    assert changes(told(a, b), told(b, a)) == ["the classes come as b, a, no longer as a, b"]
    assert changes(told(a, b), told(a, ("b", 3, "z"))) == [
        "pictures of class b are others, or in other parts"
    ]
    assert changes(told(a), told(("a", 2, "x"))) == [
        "class a has other numbers of pictures (2 for 3 in train)"
    ]
    assert changes(told(a), told(a, init="n")) == ["method.init_from holds another network"]


def test_files_are_read_once(root: Path, tmp_path: Path, monkeypatch) -> None:
    first = content_of(splits(root), tmp_path / "cache")
    monkeypatch.setattr(content, "file_digests", lambda _: pytest.fail("read again"))
    assert content_of(splits(root), tmp_path / "cache") == first
    with pytest.raises(pytest.fail.Exception):
        content_of(splits(root))


def test_names_and_sizes_stand_for_enormous_folders(root: Path, monkeypatch) -> None:
    monkeypatch.setattr(content, "LARGE", 10)
    found = content_of(splits(root))
    assert found["by"] == "names and sizes"
    (root / "train/a/0.png").rename(root / "train/a/00.png")
    assert changes(found, content_of(splits(root))) == [
        "pictures of class a are others, or in other parts"
    ]


def test_pictures_in_memory_have_no_place(make_splits) -> None:
    found = content_of(make_splits())
    assert found["root"] is None and list(found["classes"]) == ["c0", "c1", "c2", "c3"]
    other = make_splits()
    other.test.images[0] += 1
    assert changes(found, content_of(other)) == [
        "pictures of class c0 are others, or in other parts"
    ]


def test_a_picture_under_another_label_is_another_class(make_splits) -> None:
    before, after = make_splits(), make_splits()
    labels = after.train.labels.clone()
    labels[[0, 8]] = labels[[8, 0]]
    after = ImageSplits("x", TensorImages(after.train.images, labels), after.validation, after.test,
                        after.class_names)  # fmt: skip
    told = changes(content_of(before), content_of(after))
    assert [line.split(" are others")[0] for line in told] == [
        "pictures of class c0", "pictures of class c1",
    ]  # fmt: skip


def test_a_task_without_the_part_keeps_its_number(root: Path) -> None:
    decoder = splits(root).train.decoder
    found = read_classes([None, root / "train/a", None], decoder, Found())
    assert found.labels.tolist() == [1] * 5
    nothing = read_classes([None], decoder, Found())
    assert isinstance(nothing, FileImages) and len(nothing) == 0
