"""Does a config make a run that can be trained? Asked of the config alone, without data on disk.

`check_settings` looks at every value, before anything is built; `check_config` builds and tries.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from annotated_types import DocInfo, Gt, Le
from omegaconf import DictConfig, OmegaConf
from pydantic import StringConstraints
from torch import Tensor

from lgan import arguments, distributed
from lgan.arguments import Count, Fraction, PartShare, Positive, Text, Weight, Whole
from lgan.callbacks.base import TaskCallback
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.errors import ConfigError, did_you_mean
from lgan.layers.generator import TaskGenerator
from lgan.methods import fit
from lgan.methods.base import LifelongGAN
from lgan.networks.factory import noise_length
from lgan.networks.growth import check_rows, check_task_free
from lgan.networks.pretrained import KEY
from lgan.objectives.base import Batch
from lgan.run.borders import Keep
from lgan.seeding import Noise
from lgan.training import build

FileName = Annotated[str, StringConstraints(pattern=r"^[^/]*[^/.][^/]*$"),
                     DocInfo("one name, without a slash")]  # fmt: skip
SETTINGS: dict[str, Any] = {
    "seed": Whole,
    "trust": Sequence[Text],
    "tags": list[Text] | None,
    "threads": Count | None,
    "resume": bool,
    "keep": Keep,
    "on_nan": Literal["stop", "rewind"],
    "nan_retries": Whole,
    "nan_rate_factor": Fraction,
    "gpus_per_job": Whole | None,
    "objective_metric": Text | None,
    "logger.finish_timeout": Weight,
    "launch.rendezvous": Text | None,
    "launch.timeout_minutes": Positive,
    "paths.runs": Text,
    "paths.cache": Text,
    "data.name": FileName,
    "run_name": FileName,
    "run_dir": Text,
    "optimizer.lr": Annotated[float, Gt(0), Le(3e38)],
    "optimizer.betas": tuple[PartShare, PartShare],
}
"""Keys whose values nothing that is built says the range of."""
PLAIN: dict[str, tuple[str, ...]] = {
    "": (*arguments.TRUSTED, *SETTINGS, "budget", "budget_why", "extends", "launch", "paths",
         "preset", "short", "training"),
    "training": ("steps", "batch_size", "critic_steps", "learning_rate", "betas", "class_weight",
                 "rate_schedule", "test_mode"),
    "launch": ("rendezvous", "timeout_minutes"),
    "paths": ("runs", "cache"),
}  # fmt: skip
"""Sections that build nothing, and their keys: others mean something to who refers to them."""
ENTRIES = ("callbacks", "evaluation.metrics")  # named entries that each build something


def check_settings(config: DictConfig) -> None:
    """Check every value of a config against what is done and built with it."""
    config = config.copy()
    # Worked out once: the name is the fingerprint of all the rest.
    config.run_name, config.run_dir = config.run_name, config.run_dir
    _check_plain(config)
    for path, annotation in SETTINGS.items():
        section, _, name = path.rpartition(".")
        values = OmegaConf.select(config, section) if section else config
        if values is not None and name in values:
            key, value = arguments.key_of(config, path), arguments.plain(values[name])
            arguments.check_value(key, annotation, value)
    for group in ENTRIES:
        for name, entry in (OmegaConf.select(config, group) or {}).items():
            if entry is not None and (not OmegaConf.is_dict(entry) or "_target_" not in entry):
                raise ConfigError(
                    f"{group}.{name}={entry} must be a section with a _target_, or null."
                )
    for part in map(str, config):
        arguments.check_section(config, part, build.METHOD_KEYS if part == "method" else {})


def _check_plain(config: DictConfig) -> None:
    """Refuse keys, added by +KEY=VALUE, that nothing uses."""
    text = OmegaConf.to_yaml(config)
    # Of an extended run the references are resolved.
    for section, known in () if config.get("extends") else PLAIN.items():
        dot = section and f"{section}."
        for name in map(str, OmegaConf.select(config, section) if section else config):
            if name not in known and not re.search(rf"\$\{{{dot}{re.escape(name)}[.}}]", text):
                near = did_you_mean(f"{dot}{name}", [f"{dot}{each}" for each in known])
                raise ConfigError(f"{dot}{name} is no key of this configuration{near}.")


def check_kinds(config: DictConfig) -> None:
    """Refuse what the names of method and objective already tell, before any data are loaded."""
    method: Any = arguments.locate(config, "method")
    objective: Any = arguments.locate(config, "objective")
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
    `image_shape` is (C, H, W) of the pictures, of a translation those of the targets; `num_classes`
    that networks are built for first, of translations the number of tasks.
    """
    check_kinds(config)
    processes = distributed.world()
    try:
        with torch.device("meta"):
            method = build.build_method(config, image_shape, num_classes, pretrained=False)
        data = build.make(config, "data")
        check_data(method, data, processes)
        for callback in build.build_entries(config, "callbacks"):
            if isinstance(callback, TaskCallback):
                callback.check(method, None)
        with torch.device("meta"):
            try_out(method, max(1, data.batch_size // processes))
    except RuntimeError as error:
        if "meta" not in str(error):
            raise


def check_data(method: LifelongGAN, data: TaskSequenceDataModule, processes: int) -> None:
    """Refuse data, or batches, that do not fit what the method learns; no picture is read."""
    objective, share = method.objective, data.batch_size // processes
    if data.task_kind != objective.task_kind:
        has = {"classes": "classes to draw", "pictures": "pictures to translate"}
        raise ConfigError(
            f"data={data.name} has {has[data.task_kind]}, and objective={objective.name} needs "
            f"{has[objective.task_kind]}; choose other data or another objective."
        )
    if objective.needs_pairs and not data.paired:
        raise ConfigError(
            f"objective={objective.name} learns from pairs, and the pictures of data={data.name} "
            "have no partners (data.paired=false); choose objective=cyclegan."
        )
    if share % objective.batch_multiple:
        each = f", which are {share} for each of {processes} processes" if processes > 1 else ""
        raise ConfigError(
            f"training.batch_size={data.batch_size}{each}: objective={objective.name} needs a "
            f"multiple of {objective.batch_multiple} pictures for each process."
        )


def check_growth(method: LifelongGAN, data: TaskSequenceDataModule) -> None:
    """Refuse networks and tasks that rows for the classes of later tasks do not go with."""
    known, most = method.num_classes, data.rows_in(data.num_tasks - 1)
    if most <= known:
        return
    if not method.has_rows:
        check_task_free(known, most, method.networks)
        return
    if isinstance(method.generator, TaskGenerator):
        for task in data.tasks:
            method.generator.rows_of(task.classes)
    for role, make in method.growing.items():
        check_rows(known, most, make, method.networks, role)


def check_old_pictures(method: LifelongGAN, data: TaskSequenceDataModule) -> None:
    """Refuse a method that trains on old pictures where some of them are gone."""
    if method.cumulative_data and data.gone:
        raise ConfigError(
            f"method={method.name} trains on the pictures of all tasks, and those of "
            f"{', '.join(data.gone)} are gone: restore them; methods that keep no real data can be "
            "extended without."
        )


def try_out(method: LifelongGAN, size: int) -> None:
    """Take a step of the objective on plain networks and `size` pictures, on the meta device.

    A `RuntimeError` says that a network looks at its numbers, of which there are none there.
    """
    networks, objective = method.networks, method.objective
    generator, discriminator = networks.build_generator(), networks.build_discriminator()
    shape, noise = (size, *networks.image_shape), _Shapes(0)
    batch: Batch = {"x": noise.normal(*shape), "y": noise.integers(1, size)}
    if objective.task_kind == "pictures":
        batch["z"] = noise.normal(*shape)
    try:
        if objective.task_kind == "classes":
            judge_classes(method, discriminator(batch["x"]), size)
        if method.has_generator:
            codes = (noise.normal(size, method.code_length),) if method.code_length else ()
            z = batch["z"] if "z" in batch else noise.normal(size, noise_length(generator))
            _expect("network.generator", generator(z, batch["y"], *codes), shape)
            for player in ("discriminator", "generator"):
                objective.loss(player, generator, discriminator, batch, noise)
    except ConfigError:
        raise
    except (RuntimeError, TypeError, ValueError, LookupError, AttributeError) as error:
        if "meta" in str(error):
            raise
        more = "; raise training.batch_size" if "more than 1 value" in str(error) else ""
        raise ConfigError(
            f"network.generator={type(generator).__name__} and network.discriminator="
            f"{type(discriminator).__name__} do not train on {size} pictures of "
            f"{networks.image_shape}: {error}{more}."
        ) from error


def judge_classes(method: LifelongGAN, found: Any, size: int) -> None:  # noqa: ANN401
    """Refuse what a discriminator made of `size` pictures, if it is not scores and logits."""
    if isinstance(found, Tensor):  # of a classifier
        if method.has_generator:
            raise ConfigError(
                f"network.discriminator={type(method.discriminator).__name__} gives logits and no "
                f"score: method={method.name} needs both; choose another network."
            )
        found = (found.new_empty(size), found)
    _expect("network.discriminator", found[0], (size,))
    _expect("network.discriminator", found[1], (size, method.networks.num_classes))


class _Shapes(Noise):
    """Draws nothing: tensors on the meta device."""

    def normal(self, *shape: int) -> Tensor:
        return torch.empty(shape, device="meta")

    uniform = normal

    def integers(self, high: int, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.int64, device="meta")


def _expect(role: str, found: Tensor, shape: tuple[int, ...]) -> None:
    if found.shape != shape:
        raise ConfigError(f"{role} returns {tuple(found.shape)} where {shape} is expected.")
