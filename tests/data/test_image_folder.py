"""A user's own folders, and LSUN's."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from lgan.data.image_folder import image_folder
from lgan.data.images import FileImages
from lgan.data.lsun import lsun
from lgan.errors import DataError

Picture = Callable[..., Path]


def names(images: object) -> list[str]:
    assert isinstance(images, FileImages)
    return [f"{path.parent.name}/{path.name}" for path in images.paths]


def test_without_other_folders_both_parts_are_held_out(folder: Path) -> None:
    splits = image_folder(str(folder), size=8, test_fraction=0.2, validation_fraction=0.25)
    assert splits.class_names == ("2", "10"), "numbers sort as numbers"
    parts = (splits.train, splits.validation, splits.test)
    assert [part.labels.bincount().tolist() for part in parts] == [[6, 6], [2, 2], [2, 2]]
    together = [name for part in parts for name in names(part)]
    assert len(set(together)) == 20
    assert splits.train.all().shape == (12, 3, 8, 8)
    for part in parts:
        assert [name.split("/")[0] for name in names(part)] == [
            splits.class_names[label] for label in part.labels
        ]
    again = image_folder(str(folder), size=8, test_fraction=0.2, validation_fraction=0.25)
    assert again.train.digest() == splits.train.digest()


def test_grey(folder: Path) -> None:
    assert image_folder(str(folder), size=5, channels=1).train.all().shape[1:] == (1, 5, 5)


@pytest.mark.parametrize("part", ["val", "test"])
def test_one_other_folder_is_the_test_part(folder: Path, picture: Picture, part: str) -> None:
    for name in ("2", "10"):
        picture(folder / part / name / "held.jpg")
    splits = image_folder(str(folder), size=8, validation_fraction=0.1)
    assert names(splits.test) == ["2/held.jpg", "10/held.jpg"]
    assert (len(splits.train), len(splits.validation)) == (18, 2)


def test_both_other_folders(folder: Path, picture: Picture) -> None:
    for part in ("val", "test"):
        for name in ("2", "10"):
            picture(folder / part / name / f"{part}.bmp")
    splits = image_folder(str(folder), size=8)
    assert names(splits.validation) == ["2/val.bmp", "10/val.bmp"]
    assert names(splits.test) == ["2/test.bmp", "10/test.bmp"]
    assert len(splits.train) == 20


def test_other_files_and_hidden_ones_are_left_alone(folder: Path, picture: Picture) -> None:
    (folder / "train" / "2" / "notes.txt").write_text("x")
    (folder / "train" / "2" / "._0.png").write_bytes(b"x")
    (folder / "train" / ".cache").mkdir()
    picture(folder / "train" / "2" / "images" / "DEEP.JPEG")
    splits = image_folder(str(folder), size=8, test_fraction=0.0, validation_fraction=0.0)
    assert splits.train.labels.bincount().tolist() == [11, 10]
    assert "images/DEEP.JPEG" in names(splits.train)


def test_limit_per_class(folder: Path) -> None:
    splits = image_folder(
        str(folder), 8, test_fraction=0.0, validation_fraction=0.0, train_limit_per_class=2
    )
    assert names(splits.train) == ["2/0.png", "2/1.png", "10/0.png", "10/1.png"]


def test_words_sort_as_words(folder: Path, picture: Picture) -> None:
    picture(folder / "train" / "cat" / "0.png")
    assert image_folder(str(folder), 8).class_names == ("10", "2", "cat")


def test_without_root() -> None:
    with pytest.raises(DataError, match="data.root=null: image_folder needs the folder"):
        image_folder()


def test_without_class_folders(tmp_path: Path) -> None:
    for what in ("does not exist", "holds no class folder"):
        with pytest.raises(DataError, match=f"{tmp_path}/train {what}"):
            image_folder(str(tmp_path))
        (tmp_path / "train").mkdir(exist_ok=True)


def test_an_empty_class(folder: Path) -> None:
    (folder / "train" / "3").mkdir()
    with pytest.raises(DataError, match="train/3 holds no picture"):
        image_folder(str(folder))


def test_a_test_folder_with_other_classes(folder: Path, picture: Picture) -> None:
    picture(folder / "test" / "2" / "a.png")
    picture(folder / "test" / "7" / "a.png")
    with pytest.raises(DataError, match="only one of the two has 10, 7"):
        image_folder(str(folder))


def test_files_that_are_no_whole_pictures_are_left_out_and_named(
    folder: Path, picture: Picture, capsys
) -> None:
    ten = folder / "train" / "10"
    for name in ("cut.jpg", "cut.png", "cut.webp", "cut.gif", "cut.bmp"):
        whole = picture(ten / name, 40, 40).read_bytes()
        (ten / name).write_bytes(whole[: len(whole) // 2])
    picture(ten / "behind.jpg", 40, 40).open("ab").write(b"\0\0")  # what stands behind the end
    (ten / "empty.png").touch()
    (ten / "not.png").write_bytes(b"no picture")
    (ten / "Thumbs.db").touch()
    splits = image_folder(str(folder), size=8)
    assert sum(len(part) for part in splits.parts) == 21
    said = capsys.readouterr().err
    assert "train/10: 8 files were left out: Thumbs.db (no picture by its name), cut.bmp (" in said
    assert "empty.png (empty), not.png (no picture inside)" in said
    facts = splits.found.facts
    assert facts["kinds"] == {"PNG": 20, "JPEG": 1} and len(facts["left_out"]) == 8
    assert facts["sizes"] == [[6, 15], [40, 40]]
    with pytest.raises(DataError, match=r"7 files .*broken=refuse\): cut.bmp.*cut.webp.*not.png"):
        image_folder(str(folder), size=8, broken="refuse")


def test_classes_without_a_whole_picture_are_named_together(folder: Path) -> None:
    for name in ("3", "4"):
        (folder / "train" / name).mkdir()
        (folder / "train" / name / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"train/3, .*train/4 hold no picture .*a.png \(no pict"):
        image_folder(str(folder))


def test_a_class_of_one_is_named_beside_an_empty_one(folder: Path, picture: Picture) -> None:
    (folder / "train" / "3").mkdir()
    picture(folder / "train" / "4" / "a.png")
    with pytest.raises(DataError, match=r"train/3 holds no .* \S*train/4: one picture, where"):
        image_folder(str(folder))


@pytest.mark.parametrize(("count", "parts"), [(2, [1, 0, 1]), (3, [2, 0, 1]), (4, [2, 1, 1])])
def test_a_class_of_two_has_one_to_learn_and_one_to_test(
    tmp_path: Path, picture: Picture, count: int, parts: list[int]
) -> None:
    for i in range(count):
        picture(tmp_path / "train" / "a" / f"{i}.png", seed=i)
    splits = image_folder(str(tmp_path), size=8)
    assert [len(part) for part in splits.parts] == parts


@pytest.fixture
def scenes(tmp_path: Path, picture: Picture) -> Path:
    """Return a small LSUN: two categories, four training and two validation pictures each."""
    for seed, name in enumerate(("tower", "bedroom")):
        for i in range(4):
            picture(tmp_path / name / "train" / f"{i}.jpg", 30, 20, seed=10 * seed + i)
        for i in range(2):
            picture(tmp_path / name / "val" / f"v{i}.jpg", 20, 30, seed=10 * seed + 5 + i)
    return tmp_path


def test_lsun(scenes: Path) -> None:
    splits = lsun(str(scenes), ("tower", "bedroom"), size=16, train_limit_per_class=3)
    assert splits.class_names == ("tower", "bedroom"), "the order given, not the alphabet"
    assert names(splits.train) == [f"train/{i}.jpg" for i in (0, 1, 2, 0, 1, 2)]
    assert splits.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert (len(splits.validation), len(splits.test)) == (0, 4)
    assert splits.test.all().shape == (4, 3, 16, 16)


def test_lsun_says_where_it_must_lie(scenes: Path) -> None:
    with pytest.raises(DataError, match="data.root=null: lsun needs .*<category>/train"):
        lsun()
    shutil.rmtree(scenes / "tower" / "val")
    with pytest.raises(DataError, match="tower/val is absent; data.root=.* <category>/val"):
        lsun(str(scenes), ("tower", "bedroom"))


@pytest.mark.parametrize("kind", ["pipe", "socket", "link to nothing", "device"])
def test_only_regular_files_are_read(folder: Path, kind: str, monkeypatch) -> None:
    monkeypatch.chdir(folder)  # a socket's path may have 108 letters only
    path = next(folder.glob("train/*")) / "0.png"
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(str(path.relative_to(folder)))
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "/nowhere.png")
    splits = image_folder(str(folder))
    assert splits.found.left_out == {path: "a pipe, a socket, a device or a link to nothing"}
