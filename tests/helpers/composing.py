"""Hydra, which composes the groups of conf/ once per choice of them, and parses no text twice.

Reading and merging twenty files takes two tenths of a second, for every test that composes a
config. Here what a file says, and what all of a choice of groups say, is kept, and a
copy of it is handed to Hydra, which sets single values in it as ever. Other folders than conf/ are
read every time, and a choice that Hydra refuses is refused every time.
"""

from __future__ import annotations

import pickle
from copy import copy
from functools import cache
from typing import Any

import omegaconf.base
from hydra import compose, initialize_config_dir
from hydra._internal import config_loader_impl as loader
from hydra._internal import defaults_list as lists
from hydra._internal.config_repository import (
    CachingConfigRepository,
    ConfigRepository,
    IConfigRepository,
)
from hydra._internal.defaults_list import DefaultsList
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf, flag_override

from lgan.launch.compose import config_path

__all__ = ["compose", "config_path", "initialize_config_dir"]
CONF = f"file://{config_path()}"

_lists: dict[tuple[Any, ...], DefaultsList] = {}
_contents: dict[int, bytes] = {}
_begun: dict[tuple[tuple[str, str], ...], bytes] = {}
_files: dict[tuple[str, ...], bytes] = {}
_load = ConfigRepository.load_config
_create_list = loader.create_defaults_list
_choices = lists._create_interpolation_map
_merge = loader.ConfigLoaderImpl._compose_config_from_defaults_list


def places_of(repo: IConfigRepository) -> tuple[str, ...]:
    return tuple(source.full_path() for source in repo.get_sources())


def are_kept(places: tuple[str, ...]) -> bool:
    return all(place == CONF or not place.startswith("file:") for place in places)


def load_config(self: ConfigRepository, config_path: str) -> ConfigResult | None:
    """Stand in for Hydra's method: a copy of what a file says."""
    places = places_of(self)
    if not are_kept(places):
        return _load(self, config_path)
    key = (config_path, *places)
    if key not in _files:
        _files[key] = pickle.dumps(_load(self, config_path))
    return pickle.loads(_files[key])


def create_defaults_list(
    repo: IConfigRepository,
    config_name: str | None,
    overrides_list: list[Override],
    prepend_hydra: bool,
    skip_missing: bool,
) -> DefaultsList:
    """Stand in for Hydra's function, which single values mean nothing to."""
    values, groups = [], []
    for override in overrides_list:
        chosen = repo.group_exists(override.key_or_group) and not isinstance(override.value(), dict)
        (groups if chosen or override.is_sweep_override() else values).append(override)
    places = places_of(repo)
    key = (config_name, prepend_hydra, skip_missing, places, *(o.input_line for o in groups))
    if key in _lists:
        found = _lists[key]
    else:
        found = _create_list(repo, config_name, groups, prepend_hydra, skip_missing)
        if are_kept(places):
            _lists[key] = found
    return DefaultsList(found.defaults, found.defaults_tree, values, found.overrides)


def compose_config(
    self: loader.ConfigLoaderImpl, defaults: list[Any], repo: IConfigRepository
) -> DictConfig:
    """Stand in for Hydra's method: a copy of what the files say."""
    if not any(defaults is kept.defaults for kept in _lists.values()):
        return _merge(self, defaults, repo)
    if id(defaults) not in _contents:
        _contents[id(defaults)] = pickle.dumps(merged(self, defaults, repo))
    return pickle.loads(_contents[id(defaults)])


def merged(self: loader.ConfigLoaderImpl, defaults: list[Any], repo: IConfigRepository) -> Any:
    """Return what Hydra's method does: the files that others began with are merged already."""
    files = [(default.config_path, default.package) for default in defaults]
    known = next((n for n in range(len(files), 0, -1) if tuple(files[:n]) in _begun), 0)
    config = pickle.loads(_begun[tuple(files[:known])]) if known else OmegaConf.create()
    for number, default in enumerate(defaults[known:], known + 1):
        with flag_override(config, "no_deepcopy_set_nodes", True):
            config.merge_with(self._load_single_config(default, repo).config)
        _begun[tuple(files[:number])] = pickle.dumps(config)
    without_defaults(config)
    return config


def without_defaults(config: Any) -> None:
    """Remove the lists of choices from all sections, as Hydra's method does at its end."""
    if not isinstance(config, DictConfig) or config._is_missing() or config._is_none():
        return
    with flag_override(config, ["readonly", "struct"], False):
        if config._get_flag("HYDRA_REMOVE_TOP_LEVEL_DEFAULTS"):
            config._set_flag("HYDRA_REMOVE_TOP_LEVEL_DEFAULTS", None)
            config.pop("defaults", None)
        for _, value in config.items_ex(resolve=False):
            without_defaults(value)


class Repository(CachingConfigRepository):
    """What is read of a repository, which itself stays as it is: its list of places is copied."""

    def __init__(self, delegate: IConfigRepository) -> None:
        self.delegate, self.cache = copy(delegate), {}


def interpolation_map(overrides: Any, defaults: list[Any], self_added: bool) -> DictConfig:
    """Stand in for Hydra's function: what choices refer to, made only where one refers to any."""
    if any(default.is_interpolation() for default in defaults):
        return _choices(overrides, defaults, self_added)
    return DictConfig({})


ConfigRepository.load_config = load_config
loader.CachingConfigRepository = Repository
lists._create_interpolation_map = interpolation_map
loader.create_defaults_list = create_defaults_list
loader.ConfigLoaderImpl._compose_config_from_defaults_list = compose_config
omegaconf.base.parse = cache(omegaconf.base.parse)  # interpolations, which are only read
