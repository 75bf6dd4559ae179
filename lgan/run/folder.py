"""A run's folder: its files, what makes two runs the same, and going on after a stop."""

import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import DictConfig, OmegaConf

from lgan.errors import ConfigError, RunError
from lgan.files import write_atomically, write_json
from lgan.redaction import redacted

IDENTITY = ("seed", "preset", "data", "network", "objective", "method", "training", "optimizer")
"""The sections of a config that decide what is learnt."""
MEASUREMENT = ("evaluation", "selection")
"""The sections that decide how it is measured; not every config has each of them."""
ELSEWHERE = {"data.root", "data.in_memory", "data.memory_limit_mb", "data.num_workers",
             "evaluation.cache_dir"}  # fmt: skip
"""Keys within these sections that say where or how fast, not what."""


def identity(config: DictConfig | dict[str, Any]) -> dict[str, Any]:
    """Return the flat part of a config that decides a run's numbers, as {"a.b": value}."""
    flat: dict[str, Any] = {}
    for section in (name for name in (*IDENTITY, *MEASUREMENT) if name in config):
        value = config[section]
        if OmegaConf.is_config(value):
            value = OmegaConf.to_container(value, resolve=True)
        flat |= {key: each for key, each in flatten(value, section) if each != {}}
    if flat.get("method.init_from") is None:  # as if the key were not there
        flat.pop("method.init_from", None)
    return {key: value for key, value in flat.items() if key not in ELSEWHERE}


def flatten(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield what nested mappings hold as ("a.b", value); an empty mapping is a value."""
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from flatten(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, content


def fingerprint(config: DictConfig) -> str:
    """Return eight hex digits that differ when anything that decides a run's numbers differs."""
    plain = json.dumps(identity(config), sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()[:8]


def register_resolvers() -> None:
    """Make known to OmegaConf what conf/ asks of lgan.

    `${lgan.fingerprint:}` names a run's folder. `${lgan.by:KEY,{VALUE:x,other:y}}` is a setting
    that depends on another key, the preset or the budget: x where that is VALUE, y elsewhere.
    """
    for name, function in (("fingerprint", _fingerprint_of), ("by", _chosen_by)):
        OmegaConf.register_new_resolver(f"lgan.{name}", function, replace=True)


def _fingerprint_of(*, _root_: DictConfig) -> str:
    return fingerprint(_root_)


def _chosen_by(key: str, choices: dict[str, Any], *, _root_: DictConfig) -> Any:  # noqa: ANN401
    value = OmegaConf.select(_root_, key)
    if value in choices:
        return choices[value]
    if "other" not in choices:
        raise ConfigError(f"{key}={value} is none of {', '.join(choices)}.")
    return choices["other"]


class RunFolder:
    """The files of one run.

    Args:
        path: the folder; it is made by `open`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.checkpoints = self.path / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"

    def load_config(self) -> DictConfig:
        """Return the config that the run was started with: data, whoever wrote it.

        Raises:
            RunError: it is no YAML mapping, or holds a reference, which lgan never writes: it could
                take the environment's secrets, or be something else once it was looked at.
        """
        if self.config.exists() and not self.config.is_file():  # a pipe would be waited for
            raise RunError(f"{self.config} is no regular file: {self.path} is not a run folder.")
        try:
            config = OmegaConf.load(self.config)
            content = OmegaConf.to_container(config, resolve=False)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise RunError(f"{self.config} cannot be read as plain YAML: {reason}.") from error
        if not isinstance(content, dict) or "${" in str(content):
            raise RunError(
                f"{self.config} should be a mapping of plain values, without references (${{...}})."
            )
        return cast(DictConfig, config)

    def border(self, task: int) -> Path:
        """Return where the state after a finished task is kept."""
        return self.checkpoints / f"task{task}.pt"

    def finished_tasks(self) -> int:
        """Return how many tasks have left a border file, counted from the first one."""
        count = 0
        while self.border(count).exists():
            count += 1
        return count

    def open(self, config: DictConfig, resume: bool) -> None:
        """Make the folder for a new run, or check that the run in it may go on.

        Raises:
            RunError: the folder holds a run with another config, or an unfinished run and
                `resume` is false.
        """
        if not self.config.exists():
            write_json(self.path / "environment.json", environment())
            content = OmegaConf.to_container(config, resolve=True)
            write_atomically(self.config, OmegaConf.to_yaml(redacted(content)))
            return
        changes = differences(identity(self.load_config()), identity(config))
        if changes:
            raise RunError(
                f"{self.path} holds a run with another configuration (run -> asked): "
                f"{'; '.join(changes)}. Give run_dir=... another folder, or ask for the run's "
                "own values."
            )
        if not resume:
            raise RunError(
                f"{self.path} holds this run already; resume=true goes on with it, "
                "run_dir=... starts a new one elsewhere."
            )


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return a line `key: old -> new` for each key that differs; absent values show as (none)."""
    keys = sorted(old.keys() | new.keys())
    return [
        f"{key}: {old.get(key, '(none)')} -> {new.get(key, '(none)')}"
        for key in keys
        if old.get(key, "(none)") != new.get(key, "(none)")
    ]


def environment() -> dict[str, Any]:
    """Return what a run's numbers may depend on beside its config."""
    names = ("lgan", "torch", "torchvision", "lightning", "hydra-core", "torch-fidelity", "numpy")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in names},
        "git_commit": _git_commit(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "command": sys.argv,
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Return the commit of the checkout lgan runs from, "+" if it was changed; None elsewhere."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40",
               "--dirty=+"]  # fmt: skip
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
