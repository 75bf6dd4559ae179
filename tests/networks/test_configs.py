from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lgan.cli.common import config_path

SHAPES = {"digits": (1, 8, 8), "mergan32": (1, 32, 32), "mergan64": (3, 64, 64)}
SHAPES["dgm_plain"] = (1, 32, 32)
# Those that can grow; see test_dgm.py.
GROWING = {"dgm_w", "dgm_a", "dgm_dcgan", "dgm_resnet"}
# Of pictures to pictures; see test_translation.py.
TRANSLATION = {"unet64", "unet128", "unet256", "resnet6", "resnet9"}
TRANSLATION |= {"cycle_resnet6", "cycle_resnet9", "bicycle64", "bicycle128", "bicycle256"}

# In a discriminator's place, without a generator; see tests/methods/test_classifier_only.py.
ALONE = {"mlp256"}


def test_every_network_file_is_tested() -> None:
    files = {path.stem for path in Path(config_path(), "network").glob("*.yaml")}
    assert files == {*SHAPES, *GROWING, *TRANSLATION, *ALONE}


@pytest.mark.parametrize("preset", ["code", "paper"])
@pytest.mark.parametrize("name", SHAPES)
def test_the_pair_of_a_network_file_plays_together(name: str, preset: str) -> None:
    network = OmegaConf.load(Path(config_path(), "network", f"{name}.yaml"))
    config = OmegaConf.create({"preset": {"name": preset}, "network": network})
    assert config.network.name == name
    generator = instantiate(config.network.generator)(SHAPES[name], 4)
    discriminator = instantiate(config.network.discriminator)(SHAPES[name], 4)
    with torch.no_grad():
        images = generator(torch.randn(4, generator.z_dim), torch.arange(4))
        score, logits = discriminator(images)
    assert images.shape == (4, *SHAPES[name])
    assert score.shape == (4,)
    assert logits.shape == (4, 4)
