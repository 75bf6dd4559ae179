"""From a config to objects: the one place that instantiates."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import lightning as L
from annotated_types import MinLen
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf

from lgan.arguments import NOTHING, Text, check_section
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.errors import ConfigError, own_error
from lgan.methods.base import LifelongGAN
from lgan.networks.factory import NetworkFactory
from lgan.networks.pretrained import read_checkpoints

METHOD_KEYS = {"init_from": Text | Annotated[list[Text], MinLen(1)] | None}
"""Keys of the section `method` that are not the method's own."""


def build_datamodule(config: DictConfig) -> TaskSequenceDataModule:
    """Build the datamodule and load what is needed to know classes and shapes."""
    datamodule = make(config, "data")
    datamodule.learnt = OmegaConf.select(config, "extends.tasks") or 0
    datamodule.setup()
    return datamodule


def first_classes(config: DictConfig, datamodule: TaskSequenceDataModule) -> int:
    """Return how many classes a run's networks are built for; those of later tasks come with them.

    An extended run's are built as its first ancestor's were.
    """
    return OmegaConf.select(config, "extends.num_classes") or datamodule.rows_in(0)


def build_method(
    config: DictConfig, image_shape: tuple[int, int, int], num_classes: int, pretrained: bool = True
) -> LifelongGAN:
    """Build the method, for pictures (C, H, W) and a number of classes to build networks for.

    `pretrained` says whether `method.init_from` is obeyed: a finished run needs it no more.
    """
    # `init_from` is not the method's: whatever it does with a generator, it is given this one.
    made = make(config, "method", METHOD_KEYS)
    settings = dict(made.keywords)
    init_from = settings.pop("init_from", None)
    objective, networks = make(config, "objective"), NetworkFactory(
        generator=make(config, "network.generator"),
        discriminator=make(config, "network.discriminator"),
        image_shape=image_shape, num_classes=num_classes, seed=config.seed,
        pretrained=read_checkpoints(init_from) if pretrained else (),
    )  # fmt: skip
    return made.func(
        *made.args, **settings, networks=objective.networks(networks), seed=config.seed,
        objective=objective, optimizer=make(config, "optimizer"),
        rate_schedule=make(config, "training.rate_schedule"),
        test_mode=config.training.get("test_mode", "eval"),
    )  # fmt: skip


def build_trainer_factory(config: DictConfig) -> Callable[..., L.Trainer]:
    """Return what makes a fresh Trainer for each task, its strategy included."""

    def build(**settings: Any) -> L.Trainer:  # noqa: ANN401
        try:
            return make(config, "trainer")(**settings)
        except MisconfigurationException as error:
            said = f"{config.trainer.accelerator}: {' '.join(str(error).split())}"
            raise ConfigError(f"trainer.accelerator={said}") from error

    return build


def make(config: DictConfig, path: str, besides: Mapping[str, Any] = NOTHING) -> Any:  # noqa: ANN401
    """Return what the section at a dotted key of a config describes; None where there is none.

    `besides` are annotations of further keys that the section may have.
    """
    check_section(config, path, besides)
    try:
        return instantiate(OmegaConf.select(config, path))
    except InstantiationException as error:
        if own_error(error) is not None:
            raise
        raise ConfigError(f"{path} cannot be built: {error.__cause__ or error}") from error


def build_entries(config: DictConfig, path: Literal["callbacks", "logger"]) -> list[Any]:
    """Build the entries of a section, in order, but settings that they share, and null."""
    return [
        make(config, f"{path}.{name}")
        for name, entry in OmegaConf.select(config, path).items()
        if isinstance(entry, DictConfig) and "_target_" in entry
    ]
