"""From overrides to the config that `lgan-train` would make of them, or what was meant."""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from hydra import compose, initialize, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lgan.errors import ConfigError, LganError
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
    try:
        with _opened(config_path()):
            config = make(compose(script, overrides=list(overrides)))
            if resolve:
                OmegaConf.resolve(config)
            return config
    except LganError:  # a ConfigError is a ValueError
        raise
    except REFUSALS as error:
        raise ConfigError(redacted(f"{refusal(error, overrides, script)}.")) from error


REFUSALS = (HydraException, OmegaConfBaseException, ValueError)
"""What Hydra raises where a command line does not fit."""
_UNKNOWN = re.compile(r"Could not (?:override|delete from config\.) '([^']+)'")
_REPEATS = re.compile(r"\$\{[\w.]+\}")
_ALIKE = 0.7  # of 1, from which on two keys are alike


def refusal(
    error: BaseException, overrides: Sequence[str], script: str, folder: str | None = config_path()
) -> str:
    """Return what does not fit in a script's overrides, of which the error is, and what was meant.

    A sentence without its full stop. `folder` has the yaml files; None: Hydra's store.
    """
    if folder and (wrong := without_choice(overrides, folder)):
        return wrong
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        near = get_close_matches(name, error.options, 1)
        meant = f" (did you mean {group}={near[0]}?)" if near else ""
        return f"{group}={name} is no choice{meant}; there are {', '.join(error.options)}"
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override} cannot be read: quote text that has more than plain letters, "
            "digits and signs such as . / - _, as in 'KEY=\"Grüße (1)\"'"
        )
    if found := _UNKNOWN.search(str(error)):
        key = found[1].partition("=")[0]
        rest = [each for each in overrides if each.lstrip("+~").partition("=")[0] != key]
        near = _nearest(key, keys_of(script, folder, rest))
        meant = f" (did you mean {near[0]}?)" if near else ""
        return f"{key} is no key of this configuration{meant}; lgan-{script} --cfg job shows all"
    said = " ".join(str(error).split())
    return f"{shlex.join(overrides)} cannot be: {said.rstrip('.')}"


def _nearest(key: str, keys: Sequence[str]) -> list[str]:
    """Return the key that ends alike, as `steps` for training.steps, or is alike."""
    last = key.rpartition(".")[2]
    same = [each for each in keys if each.rpartition(".")[2] == last]
    # Without a section that of most settings of this kind is meant.
    same = get_close_matches(key if "." in key else f"training.{key}", same, 1, 0)
    alike = get_close_matches(key, keys, 1, _ALIKE)
    ends = {each.rpartition(".")[2]: each for each in reversed(keys)}
    return same or alike or [ends[n] for n in get_close_matches(last, ends, 1, _ALIKE)]


def keys_of(script: str, folder: str | None, overrides: Sequence[str] = ()) -> list[str]:
    """Return the keys that one sets in a script's config, with the overrides if they compose.

    Shorter ones come first; keys that only repeat others are left out.
    """
    with _opened(folder):
        try:
            config = compose(script, list(overrides))
        except Exception:  # more than one mistake, or values of a sweep
            config = compose(script)
    found = _walk(OmegaConf.to_container(config, resolve=False))
    return sorted(found, key=lambda key: (key.count("."), key))


def without_choice(overrides: Sequence[str], folder: str) -> str:
    """Return what is wrong with callbacks=null, or another group's null or number; "" if none."""
    parsed: list[Override] = []
    with suppress(HydraException):
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    for each in parsed:
        group, value = each.key_or_group, each.value()
        wrong = isinstance(value, int | float | None) and not each.is_delete()
        if wrong and Path(folder, group).is_dir():
            return (
                f"{each.input_line} cannot be: {group} takes the name of a choice (--help lists "
                f"them); null is for single keys below it, as {group}.NAME=null"
            )
    return ""


@contextmanager
def _opened(folder: str | None) -> Iterator[None]:
    """Let Hydra compose from a folder of yaml files, or what stands in its store, in an app too."""
    state = GlobalHydra.instance()
    outer, state.hydra = state.hydra, None  # only one may be initialised
    try:
        start = partial(initialize_config_dir, folder) if folder else partial(initialize, None)
        with start(version_base="1.3"):
            yield
    finally:
        state.hydra = outer


def _walk(content: Any, prefix: str = "") -> Iterator[str]:  # noqa: ANN401
    for key, value in content.items() if isinstance(content, dict) else ():
        if isinstance(value, str) and _REPEATS.fullmatch(value):
            continue
        yield f"{prefix}{key}"
        yield from _walk(value, f"{prefix}{key}.")
