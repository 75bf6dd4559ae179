"""From a config to objects: the one place that instantiates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig

from lgan.data.datamodule import TaskSequenceDataModule
from lgan.methods.base import LifelongGAN
from lgan.networks.factory import NetworkFactory


def build_datamodule(config: DictConfig) -> TaskSequenceDataModule:
    """Build the datamodule and load what is needed to know classes and shapes.

    Raises:
        DataError: the data are absent or unreadable.
        ConfigError: tasks, batch size or splits do not fit the data.
    """
    datamodule = instantiate(config.data)
    datamodule.setup()
    return datamodule


def build_method(
    config: DictConfig, image_shape: tuple[int, int, int], num_classes: int
) -> LifelongGAN:
    """Build the method with its networks and objective."""
    networks = NetworkFactory(
        generator=instantiate(config.network.generator),
        discriminator=instantiate(config.network.discriminator),
        image_shape=image_shape,
        num_classes=num_classes,
        seed=config.seed,
    )
    return instantiate(config.method)(
        networks=networks,
        objective=instantiate(config.objective),
        optimizer=instantiate(config.optimizer),
        seed=config.seed,
        rate_schedule=instantiate(config.training.get("rate_schedule")),
        test_mode=config.training.get("test_mode", "eval"),
    )


def build_callbacks(config: DictConfig) -> list[L.Callback]:
    """Build the callbacks, in the order of the config; an entry set to null is left out."""
    return _build_entries(config.callbacks)


def build_loggers(config: DictConfig) -> list[Logger]:
    """Build the loggers; keys without a `_target_` are settings shared by them."""
    return _build_entries(config.logger)


def build_trainer_factory(config: DictConfig) -> Callable[..., L.Trainer]:
    """Return what makes a fresh Trainer for each task."""
    return instantiate(config.trainer)


def _build_entries(section: DictConfig) -> list[Any]:
    entries = (section[key] for key in section)
    return [instantiate(e) for e in entries if isinstance(e, DictConfig) and "_target_" in e]
