"""Feature extractors and the cache of real features."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from lgan.data.images import TensorImages
from lgan.errors import ConfigError, DataError
from lgan.metrics import features as f
from lgan.metrics.classifier_training import TrainedClassifier
from lgan.metrics.features import ClassifierFeatures, InceptionFeatures, extract, real_features


class MeanFeatures:
    """Mean grey level and its square; counts how many images it saw."""

    name = "mean"

    def __init__(self, fingerprint: str = "mean-1") -> None:
        self.fingerprint, self.seen = fingerprint, 0

    def __call__(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        mean = images.float().mean(dim=(1, 2, 3))
        return torch.stack([mean, mean**2], dim=1)


def pictures(count: int = 5, seed: int = 0) -> TensorImages:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 2, 2), dtype=torch.uint8, generator=generator)
    return TensorImages(images, torch.arange(count) % 2)


def test_real_features_are_read_from_disk(tmp_path: Path, capsys) -> None:
    first, second = MeanFeatures(), MeanFeatures()
    found = real_features(first, pictures(), tmp_path)
    assert f"{first.name} features of 5 real images once" in capsys.readouterr().err
    assert torch.equal(found, MeanFeatures()(pictures().images))
    assert torch.equal(real_features(second, pictures(), tmp_path), found)
    assert not capsys.readouterr().err
    assert len(list((tmp_path / "features").iterdir())) == 1
    assert (first.seen, second.seen) == (5, 0)


def test_other_images_subset_or_weights_have_their_own_features(tmp_path: Path) -> None:
    extractor, other = MeanFeatures(), MeanFeatures("mean-2")
    real_features(extractor, pictures(), tmp_path)
    real_features(extractor, pictures(seed=1), tmp_path)
    subset = real_features(extractor, pictures().subset(torch.tensor([3, 1])), tmp_path)
    real_features(other, pictures(), tmp_path)
    assert (extractor.seen, other.seen) == (12, 5)
    assert torch.equal(subset, MeanFeatures()(pictures().images[[3, 1]]))


def test_extraction_in_batches_equals_one_call() -> None:
    images = pictures(7).images
    held = TensorImages(images, torch.zeros(len(images)))
    assert torch.equal(extract(MeanFeatures(), held, batch_size=3), MeanFeatures()(images))


def test_classifier_features_see_floats_in_minus_one_to_one() -> None:
    class Penultimate(nn.Module):
        def features(self, x: Tensor) -> Tensor:
            return x.flatten(1)

    extractor = ClassifierFeatures(TrainedClassifier(Penultimate(), 1.0, "tiny-1"), "cpu")
    images = torch.tensor([0, 255, 51, 204], dtype=torch.uint8).view(1, 1, 2, 2)
    assert extractor(images).tolist() == [pytest.approx([-1.0, 1.0, -0.6, 0.6])]
    assert (extractor.name, extractor.fingerprint) == ("classifier", "tiny-1")


def test_classifier_without_features_is_refused() -> None:
    with pytest.raises(ConfigError, match="evaluation.classifier=Linear has no features"):
        ClassifierFeatures(TrainedClassifier(nn.Linear(1, 1), 1.0, "x"), "cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights in the published format, made without the published file."""
    made = {}

    class Unloaded(FeatureExtractorInceptionV3):
        def load_state_dict(self, *_: object, **__: object) -> None:
            torch.manual_seed(0)
            for module in self.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    nn.init.kaiming_normal_(module.weight)
            made.update(self.state_dict())

    empty = io.BytesIO()
    torch.save({}, empty)
    empty.seek(0)
    Unloaded("random", ["2048"], empty)
    path = tmp_path_factory.mktemp("weights") / f.INCEPTION_FILE
    torch.save(made, path)
    return path


def test_inception_loads_a_file_and_repeats_grey(weights: Path) -> None:
    extractor = InceptionFeatures(None, "cpu", str(weights))
    grey = pictures(2).images
    found = extractor(grey)
    assert found.shape == (2, 2048) and found.dtype == torch.float32
    assert torch.isfinite(found).all() and not torch.equal(found[0], found[1])
    assert torch.equal(found, extractor(grey.repeat(1, 3, 1, 1)))
    assert extractor.name == "inception"


def test_inception_file_absent_names_file_key_and_source(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="weights-inception-2015-12-05-6726825d.pth") as caught:
        InceptionFeatures(None, "cpu", str(tmp_path / "none.pth"))
    assert "evaluation.extractor.weights" in str(caught.value)
    assert "https://github.com/toshas/torch-fidelity" in str(caught.value)


def test_inception_offline_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> dict:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    with pytest.raises(DataError, match="cannot be downloaded .no route to host") as caught:
        InceptionFeatures(None, "cpu")
    assert f.INCEPTION_FILE in str(caught.value)
    assert "evaluation.extractor.weights" in str(caught.value)


def test_inception_refuses_code_and_foreign_weights(tmp_path: Path) -> None:
    torch.save({"run": print}, tmp_path / "code.pth")
    with pytest.raises(DataError, match="cannot be loaded safely"):
        InceptionFeatures(None, "cpu", str(tmp_path / "code.pth"))
    torch.save({"fc.bias": torch.zeros(3)}, tmp_path / "foreign.pth")
    with pytest.raises(DataError, match="does not hold the weights"):
        InceptionFeatures(None, "cpu", str(tmp_path / "foreign.pth"))
