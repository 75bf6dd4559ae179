"""torchvision's sets: real archives where there are any, small files of the same format else."""

from __future__ import annotations

import gzip
import hashlib
import os
import pickle
import shutil
import socket
import struct
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torchvision import datasets

from lgan.data.torchvision_sets import cache_dir, cifar10, fashion_mnist, mnist, svhn
from lgan.errors import ConfigError, DataError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
ALL = {"mnist": mnist, "fashion_mnist": fashion_mnist, "svhn": svhn, "cifar10": cifar10}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Cut the network and give each test a cache of its own; return the addresses asked for."""
    asked = []

    def refuse(request: urllib.request.Request, *_: object, **__: object) -> None:
        assert socket.getdefaulttimeout(), "would wait for ever"
        asked.append(request.full_url)
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return asked


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def idx(path: Path, array: np.ndarray) -> list[str]:
    """Write a gzipped idx file; return its name and md5 as torchvision lists them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))
    return [path.name, md5(path)]


@pytest.fixture
def small_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a root with MNIST's four archives: 12 training and 4 test pictures."""
    raw, random = tmp_path / "root" / "MNIST" / "raw", np.random.RandomState(0)
    listed = []
    for part, count in (("train", 12), ("t10k", 4)):
        images = random.randint(0, 256, (count, 28, 28))
        listed.append(idx(raw / f"{part}-images-idx3-ubyte.gz", images))
        listed.append(idx(raw / f"{part}-labels-idx1-ubyte.gz", np.arange(count) % 3))
    monkeypatch.setattr(datasets.MNIST, "resources", listed)
    return tmp_path / "root"


def tree(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*")}


def test_archives_in_root_are_unpacked_into_the_cache(small_mnist: Path) -> None:
    before = tree(small_mnist)
    splits = mnist(str(small_mnist), validation=2)
    assert tree(small_mnist) == before, "a root that holds files is only read"
    assert [len(p) for p in (splits.train, splits.validation, splits.test)] == [10, 2, 4]
    raw = cache_dir() / "MNIST" / "raw"
    assert (raw / "train-images-idx3-ubyte").is_file()
    assert [p.name for p in cache_dir().iterdir()] == ["MNIST"], "nothing is left half-done"
    again = mnist(str(small_mnist), validation=2)
    assert again.train.digest() == splits.train.digest()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_root_that_cannot_be_written_to(small_mnist: Path) -> None:
    raw = small_mnist / "MNIST" / "raw"
    raw.chmod(0o555)
    try:
        assert len(mnist(str(small_mnist), validation=2).train) == 10
    finally:
        raw.chmod(0o755)


def test_the_second_read_needs_neither_archives_nor_network(
    small_mnist: Path, offline: list[str]
) -> None:
    expected = mnist(str(small_mnist), validation=2).train.digest()
    shutil.rmtree(small_mnist)
    assert mnist(validation=2).train.digest() == expected
    assert offline == []


def test_an_interrupted_unpacking_is_done_again(small_mnist: Path) -> None:
    expected = mnist(str(small_mnist), validation=2).train.digest()
    half = cache_dir() / "MNIST" / "raw" / "train-images-idx3-ubyte"
    half.write_bytes(half.read_bytes()[:100])
    assert mnist(str(small_mnist), validation=2).train.digest() == expected


def test_validation_is_the_first_pictures_and_limits_apply_to_the_rest(small_mnist: Path) -> None:
    splits = mnist(str(small_mnist), validation=4, train_limit_per_class=2)
    assert splits.validation.labels.tolist() == [0, 1, 2, 0]
    assert splits.train.labels.tolist() == [1, 2, 0, 1, 2, 0]
    whole = mnist(str(small_mnist), validation=0)
    assert torch.equal(whole.train.all()[:4], splits.validation.all())
    with pytest.raises(ConfigError, match="data.splits.validation=12 must lie between 0 and 11"):
        mnist(str(small_mnist), validation=12)


def test_resize(small_mnist: Path) -> None:
    padded = mnist(str(small_mnist), "pad", validation=0).train.all()
    smooth = mnist(str(small_mnist), "bilinear", validation=0).train.all()
    assert padded.shape == smooth.shape == (12, 1, 32, 32)
    original = datasets.MNIST(str(cache_dir())).data
    assert torch.equal(padded[:, 0, 2:-2, 2:-2], original)
    assert int(padded.sum()) == int(original.sum()), "zeros around"
    assert abs(float(smooth.float().mean()) - float(original.float().mean())) < 3


def test_damaged_archives_are_refused(small_mnist: Path) -> None:
    with gzip.open(small_mnist / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz", "wb") as file:
        file.write(b"other")
    with pytest.raises(DataError, match="no complete mnist in .*/root .*no network"):
        mnist(str(small_mnist), validation=2)
    assert list(cache_dir().iterdir()) == []


@pytest.mark.parametrize("name", list(ALL))
@pytest.mark.parametrize("with_root", [True, False])
def test_offline_and_absent(tmp_path: Path, offline: list[str], name: str, with_root: bool) -> None:
    root = tmp_path / "absent"
    expected = {
        "mnist": "MNIST/raw/t10k-labels-idx1-ubyte.gz",
        "fashion_mnist": "FashionMNIST/raw/train-images-idx3-ubyte.gz",
        "svhn": "train_32x32.mat, test_32x32.mat",
        "cifar10": "cifar-10-python.tar.gz",
    }[name]
    with pytest.raises(DataError) as caught:
        ALL[name](str(root) if with_root else None)
    message = str(caught.value)
    assert f"no complete {name} in {root if with_root else cache_dir()} " in message
    assert expected in message and "data=digits" in message and "\n" not in message
    assert len(offline) <= 2, "no long retry"
    assert socket.getdefaulttimeout() is None, "nobody else's connections are cut"


def test_a_cache_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match="no complete mnist in"):
        mnist()


def test_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {}
    for part, count in (("train", 40), ("test", 10)):
        pixels = np.random.RandomState(count).randint(0, 256, (32, 32, 3, count)).astype(np.uint8)
        labels = (np.arange(count) % 10 + 1).astype(np.uint8)[:, None]  # 1 .. 10, 10 is zero
        path = tmp_path / f"{part}_32x32.mat"
        savemat(path, {"X": pixels, "y": labels})
        listed[part] = ["http://nowhere", path.name, md5(path)]
        if part == "train":
            first = pixels[..., 0]
    monkeypatch.setattr(datasets.SVHN, "split_list", listed)
    splits = svhn(str(tmp_path))
    assert [len(p) for p in (splits.train, splits.validation, splits.test)] == [40, 0, 10]
    assert splits.train.labels[:10].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert splits.train.shape == (3, 32, 32)
    assert np.array_equal(splits.train.all()[0].permute(1, 2, 0).numpy(), first)
    held = svhn(str(tmp_path), validation=10, train_limit_per_class=2)
    assert held.validation.labels.bincount().tolist() == [1] * 10
    assert held.train.labels.bincount().tolist() == [2] * 10
    assert not cache_dir().exists()


def batch(path: Path, count: int, seed: int) -> list[str]:
    random = np.random.RandomState(seed)
    content = {
        "data": random.randint(0, 256, (count, 3072)).astype(np.uint8),
        "labels": [i % 10 for i in range(count)],
    }
    path.write_bytes(pickle.dumps(content))
    return [path.name, md5(path)]


@pytest.fixture
def small_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a root with CIFAR-10's folder of pickles: 100 training and 10 test pictures."""
    base = tmp_path / "root" / "cifar-10-batches-py"
    base.mkdir(parents=True)
    names = list("abcdefghij")
    (base / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    listed = {
        "train_list": [batch(base / f"data_batch_{i}", 20, i) for i in range(1, 6)],
        "test_list": [batch(base / "test_batch", 10, 0)],
        "meta": {
            "filename": "batches.meta",
            "key": "label_names",
            "md5": md5(base / "batches.meta"),
        },
    }
    for key, value in listed.items():
        monkeypatch.setattr(datasets.CIFAR10, key, value)
    return tmp_path / "root"


def test_cifar10(small_cifar: Path) -> None:
    splits = cifar10(str(small_cifar), validation=20)
    assert splits.class_names == tuple("abcdefghij")
    assert [len(p) for p in (splits.train, splits.validation, splits.test)] == [80, 20, 10]
    assert splits.validation.labels.bincount().tolist() == [2] * 10
    stored = pickle.loads((small_cifar / "cifar-10-batches-py" / "test_batch").read_bytes())
    assert np.array_equal(splits.test.all().flatten(1).numpy(), stored["data"])


def test_cifar10_from_its_archive(small_cifar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = cifar10(str(small_cifar), validation=20).train.digest()
    archive = small_cifar / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(small_cifar / "cifar-10-batches-py", "cifar-10-batches-py")
    shutil.rmtree(small_cifar / "cifar-10-batches-py")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(archive))
    assert cifar10(str(small_cifar), validation=20).train.digest() == expected
    assert [p.name for p in small_cifar.iterdir()] == [archive.name]


def test_an_archive_that_would_leave_its_folder_is_refused(small_cifar: Path) -> None:
    """Only archives whose digest is the publisher's are unpacked."""
    archive, batches = small_cifar / "cifar-10-python.tar.gz", small_cifar / "cifar-10-batches-py"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(batches, "cifar-10-batches-py")
        tar.add(batches / "batches.meta", "../../escaped")
    shutil.rmtree(batches)
    with pytest.raises(DataError):
        cifar10(str(small_cifar), validation=20)
    assert not list(small_cifar.parent.parent.rglob("escaped"))


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the archives in ../shared/data")
@pytest.mark.parametrize(
    ("load", "test_counts"),
    [
        (mnist, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
        (fashion_mnist, [1000] * 10),
    ],
)
def test_the_real_archives(load: Callable, test_counts: list[int]) -> None:
    before = tree(SHARED)
    splits = load(str(SHARED))
    assert tree(SHARED) == before
    assert [len(p) for p in (splits.train, splits.validation, splits.test)] == [55000, 5000, 10000]
    assert splits.test.labels.bincount().tolist() == test_counts
    assert splits.train.shape == (1, 32, 32) and len(splits.class_names) == 10
