"""The data set of CONTRIBUTING.md, from a folder of its own, with every method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contributing import examples, own_folder, write

from lgan.cli.common import config_path
from lgan.run.record import RunRecord
from lgan.training import build
from lgan.training.fit import check_config
from lgan.training.train import train

METHODS = [path.stem for path in sorted(Path(config_path(), "method").glob("*.yaml"))]
METHODS.remove("lifelong_gan")  # it distils a translator
SMALLER = {"ewc_gan": ["method.fisher_samples=4"]}


@pytest.fixture
def composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """USPS's file in small: 20 training and four test pictures of each digit."""
    drawn, labels = np.random.default_rng(0), np.arange(10)
    pictures = {
        f"{part}_{kind}": value
        for part, each in (("train", 20), ("test", 4))
        for kind, value in (
            ("x", drawn.integers(0, 256, (10 * each, 16, 16), dtype=np.uint8)),
            ("y", np.tile(labels, each)),
        )
    }
    np.savez(tmp_path / "usps.npz", **pictures)
    yield from own_folder(examples("A data set"), tmp_path, monkeypatch)


def test_it_is_one_module_and_one_yaml() -> None:
    assert set(examples("A data set")) == {"my_package/usps.py", "my_conf/data/usps.yaml"}


def test_it_is_served_as_said(composed, tmp_path: Path) -> None:
    data = build.build_datamodule(composed("data=usps", f"data.root={tmp_path}"))
    assert (data.num_tasks, data.num_classes, data.image_shape) == (2, 10, (1, 16, 16))
    info = data.open(1)
    assert len(info.images) == 2 * 18 and info.classes == (2, 3)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_with_it(composed, method: str) -> None:
    check_config(composed("data=usps", f"method={method}"), (1, 16, 16), 10)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_trained_on_it(composed, tmp_path: Path, method: str) -> None:
    own = ["data=usps", f"data.root={tmp_path}", f"method={method}", *SMALLER.get(method, [])]
    folder = train(composed(*own, "callbacks.evaluation=null"))
    assert RunRecord.load(folder).complete


def test_a_copy_of_digits_takes_the_defaults_of_a_method(composed, tmp_path: Path) -> None:
    """Its name is its own, so that no recipe is for it."""
    text = Path(config_path(), "data/digits.yaml").read_text()
    write({"my_conf/data/mine.yaml": text.replace("name: digits", "name: mine")}, tmp_path)
    config = composed("data=mine", "method=dgm_w", "data.num_tasks=null")
    assert (config.method.annealing.epochs, config.network.generator.width) == (101, 6)
    check_config(config, (1, 8, 8), 10)
