"""The check of a whole config, before anything is read, built or written."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from annotated_types import DocInfo, Gt, Le
from omegaconf import DictConfig, OmegaConf
from pydantic import StringConstraints

from lgan import arguments
from lgan.arguments import Count, Fraction, PartShare, Positive, Text, Weight, Whole
from lgan.errors import ConfigError
from lgan.run.borders import Keep
from lgan.training.build import METHOD_KEYS

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
ENTRIES = ("callbacks", "evaluation.metrics")  # named entries that each build something


def check_settings(config: DictConfig) -> None:
    """Check every value of a config against what is done and built with it."""
    config = config.copy()
    # Worked out once: the name is the fingerprint of all the rest.
    config.run_name, config.run_dir = config.run_name, config.run_dir
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
        arguments.check_section(config, part, METHOD_KEYS if part == "method" else {})
