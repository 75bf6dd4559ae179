"""From a config to objects: the one place that instantiates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
from hydra.utils import get_class, instantiate
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig

from lgan import distributed
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.errors import ConfigError
from lgan.methods.base import LifelongGAN
from lgan.networks.factory import NetworkFactory
from lgan.networks.pretrained import KEY, read_checkpoints


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
    config: DictConfig,
    image_shape: tuple[int, int, int],
    num_classes: int,
    pretrained: bool = True,
) -> LifelongGAN:
    """Build the method with its networks and objective.

    Args:
        config: as composed from conf/train.yaml.
        image_shape: (C, H, W).
        num_classes: number of classes of the whole sequence.
        pretrained: whether `method.init_from` is obeyed; a finished run needs it no more.

    Raises:
        ConfigError: `method.init_from` cannot be read or does not fit, or parts do not go together.
    """
    # `init_from` is not the method's: whatever it does with a generator, it is given this one.
    made = instantiate(config.method)
    settings = dict(made.keywords)
    init_from = settings.pop("init_from", None)
    networks = NetworkFactory(
        generator=instantiate(config.network.generator),
        discriminator=instantiate(config.network.discriminator),
        image_shape=image_shape,
        num_classes=num_classes,
        seed=config.seed,
        pretrained=read_checkpoints(init_from) if pretrained else (),
    )
    method = made.func(
        *made.args,
        **settings,
        networks=networks,
        objective=instantiate(config.objective),
        optimizer=instantiate(config.optimizer),
        seed=config.seed,
        rate_schedule=instantiate(config.training.get("rate_schedule")),
        test_mode=config.training.get("test_mode", "eval"),
    )
    if init_from is not None and not method.has_generator:
        raise ConfigError(
            f"{KEY}={init_from}: method={method.name} has no generator; leave it out."
        )
    return method


def refuse_translation(config: DictConfig) -> None:
    """Refuse a method without translators, before its settings are read, which have no meaning.

    Raises:
        ConfigError: the objective translates pictures, and the method does not.
    """
    method: Any = get_class(config.method["_target_"])
    method.refuse_translation(config.method.name, get_class(config.objective["_target_"]))


def build_callbacks(config: DictConfig) -> list[L.Callback]:
    """Build the callbacks, in the order of the config; an entry set to null is left out."""
    return _build_entries(config.callbacks)


def build_loggers(config: DictConfig) -> list[Logger]:
    """Build the loggers; keys without a `_target_` are settings shared by them."""
    return _build_entries(config.logger)


def build_trainer_factory(config: DictConfig) -> Callable[..., L.Trainer]:
    """Return what makes a fresh Trainer for each task, its strategy included."""
    # Lightning would take a single process in a Slurm job for one of several, and hear Slurm's
    # signals itself.
    alone = {"plugins": [LightningEnvironment()], "strategy": "auto"}
    single = alone if distributed.world() == 1 else {}
    return lambda **settings: instantiate(config.trainer)(**single, **settings)


def _build_entries(section: DictConfig) -> list[Any]:
    entries = (section[key] for key in section)
    return [instantiate(e) for e in entries if isinstance(e, DictConfig) and "_target_" in e]
