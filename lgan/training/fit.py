"""Does a config make a run that can be trained? Asked of the config alone, without data on disk."""

from __future__ import annotations

import torch
from omegaconf import DictConfig

from lgan.training import build


def check_config(config: DictConfig, image_shape: tuple[int, int, int], num_classes: int) -> None:
    """Refuse a config whose method, objective, networks and data do not go together.

    Everything is built, but on PyTorch's "meta" device: shapes without numbers, in some hundredths
    of a second for the largest networks too. No data are read, and `method.init_from` is not.

    Args:
        config: as composed from conf/train.yaml.
        image_shape: (C, H, W) of the pictures; of a translation those of the targets.
        num_classes: of the whole sequence; of translations the number of tasks.

    Raises:
        ConfigError: names the key, its value and what would be right.
    """
    build.refuse_translation(config)
    with torch.device("meta"):
        build.build_method(config, image_shape, num_classes, pretrained=False)
