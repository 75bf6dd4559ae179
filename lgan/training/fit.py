"""Does a config make a run that can be trained? Asked of the config alone, without data on disk."""

from __future__ import annotations

from typing import Any

import torch
from omegaconf import DictConfig

from lgan import distributed
from lgan.arguments import locate
from lgan.callbacks.base import TaskCallback
from lgan.errors import ConfigError
from lgan.methods import fit
from lgan.methods.base import LifelongGAN
from lgan.networks.pretrained import KEY
from lgan.training import build


def check_kinds(config: DictConfig) -> None:
    """Refuse what the names of method and objective already tell, before any data are loaded.

    Args:
        config: as composed from conf/train.yaml.

    Raises:
        ConfigError: names the key, its value and what would be right.
    """
    method: Any = locate(config, "method")
    objective: Any = locate(config, "objective")
    fit.check_kind(method, config.method.name, objective)
    init_from = config.method.get("init_from")
    if init_from is not None and not method.has_generator:
        raise ConfigError(
            f"{KEY}={init_from}: method={config.method.name} has no generator; leave it out."
        )


def check_config(config: DictConfig, image_shape: tuple[int, int, int], num_classes: int) -> None:
    """Refuse a config whose method, objective, networks and data do not go together.

    Everything is built, and a step is tried, on PyTorch's "meta" device: shapes without numbers, in
    hundredths of a second for the largest networks too. No data are read, nor `method.init_from`.
    A network that looks at its numbers as it is built or called cannot be tried so, and is not.

    Args:
        config: as composed from conf/train.yaml.
        image_shape: (C, H, W) of the pictures; of a translation those of the targets.
        num_classes: of the whole sequence; of translations the number of tasks.

    Raises:
        ConfigError: names the key, its value and what would be right.
    """
    check_kinds(config)
    try:
        with torch.device("meta"):
            method = build.build_method(config, image_shape, num_classes, pretrained=False)
    except RuntimeError as error:
        if "meta" not in str(error):
            raise
        return
    _check_built(config, method)


def _check_built(config: DictConfig, method: LifelongGAN) -> None:
    processes, data = distributed.world(), build.make(config, "data")
    fit.check_data(method, data, processes)
    for callback in build.build_callbacks(config):
        if isinstance(callback, TaskCallback):
            callback.check(method, None)
    try:
        with torch.device("meta"):
            fit.try_out(method, data.batch_size // processes)
    except RuntimeError as error:
        if "meta" not in str(error):
            raise
