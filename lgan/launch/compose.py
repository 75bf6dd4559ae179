"""From overrides to the config that `lgan-train` would make of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lgan.errors import ConfigError
from lgan.run.folder import register_resolvers


def config_path() -> str:
    """Return the folder of yaml files, for `hydra.main(config_path=config_path(), ...)`.

    An installed wheel carries it as ``lgan/conf``; in a checkout (editable or not installed at
    all) it is the top-level ``conf`` beside the package.
    """
    package = Path(__file__).resolve().parents[1]
    packaged = package / "conf"
    return str(packaged if packaged.is_dir() else package.parent / "conf")


def compose_run(overrides: Sequence[str]) -> DictConfig:
    """Return the config of one run, inside a Hydra app too.

    Raises:
        ConfigError: an override does not fit the config.
    """
    register_resolvers()
    with _no_outer_hydra(), initialize_config_dir(config_path(), version_base="1.3"):
        try:
            config = compose("train", overrides=list(overrides))
            OmegaConf.resolve(config)
        except (HydraException, OmegaConfBaseException) as error:
            said = " ".join(str(error).split())
            raise ConfigError(f"overrides {shlex.join(overrides)} do not fit: {said}") from error
    return config


@contextmanager
def _no_outer_hydra() -> Iterator[None]:
    """Set the state of an app of Hydra aside: only one may be initialised."""
    state = GlobalHydra.instance()
    outer, state.hydra = state.hydra, None
    try:
        yield
    finally:
        state.hydra = outer
