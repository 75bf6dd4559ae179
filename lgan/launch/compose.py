"""From overrides to the config that `lgan-train` would make of them."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lgan.errors import ConfigError, LganError
from lgan.launch.mistakes import keys_of, known, meant, without_choice
from lgan.redaction import redacted
from lgan.run.identity import register_resolvers


def config_path() -> str:
    """Return the folder of yaml files: in a wheel ``lgan/conf``, in a checkout ``conf``."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / "conf"
    return str(packaged if packaged.is_dir() else package.parent / "conf")


def compose_run(
    overrides: Sequence[str],
    script: str = "train",
    make: Callable[[DictConfig], DictConfig] = lambda config: config,
    resolve: bool = True,
) -> DictConfig:
    """Return the config of one run, inside a Hydra app too: what `make` makes of the script's.

    Errors that come of a config name keys as they are typed if it was not resolved before.
    """
    register_resolvers()
    state = GlobalHydra.instance()
    outer, state.hydra = state.hydra, None  # only one may be initialised
    try:
        with initialize_config_dir(config_path(), version_base="1.3"):
            config = make(compose(script, overrides=list(overrides)))
            if resolve:
                OmegaConf.resolve(config)
    except LganError:  # a ConfigError is a ValueError
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        said = " ".join(str(error).split())
        shown = shlex.join(redacted(list(overrides)))
        state.hydra = None
        near = without_choice(overrides, config_path())
        near = near or meant(error, keys_of(script, config_path(), known(error, overrides)))
        more = f" ({near})" if near else ""
        raise ConfigError(f"overrides {shown} do not fit: {redacted(said)}{more}") from error
    finally:
        state.hydra = outer
    return config
