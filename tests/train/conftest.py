"""Composed configs for runs that take a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from short_runs import SHORT

from lgan.cli.common import config_path
from lgan.run.folder import register_resolvers


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """Return a cache that all tests share, so that the classifier is trained once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def configure(tmp_path: Path, cache: Path) -> Callable[..., DictConfig]:
    """Return a composer of short digit runs in tmp_path."""

    def configure(*overrides: str) -> DictConfig:
        register_resolvers()
        places = [f"paths.runs={tmp_path}/runs", f"paths.cache={cache}"]
        with initialize_config_dir(config_path(), version_base="1.3"):
            return compose("train", [*places, *SHORT, *overrides])

    return configure
