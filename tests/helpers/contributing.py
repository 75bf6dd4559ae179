"""The examples of CONTRIBUTING.md, as the files that they show."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from lgan.cli.common import config_path

TEXT = Path(__file__).parents[2] / "CONTRIBUTING.md"
SMALL = ["training.steps=2", "data.num_tasks=2", "trainer=cpu", "evaluation=fast",
         "evaluation.samples_per_class=4", "evaluation.classifier_training.steps=2",
         "callbacks.samples.per_class=2", "callbacks.progress=null", "threads=1"]  # fmt: skip
"""A run that takes a second."""


def examples(title: str) -> dict[str, str]:
    """Return the files that a section shows, path to text."""
    section = re.split(r"^## ", TEXT.read_text().partition(f"## {title}\n")[2], flags=re.M)[0]
    return dict(re.findall(r"^`([\w/]+\.\w+)`\n\n```\w+\n(.*?)```", section, flags=re.M | re.S))


def write(files: dict[str, str], folder: Path) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def own_folder(
    files: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., DictConfig]]:
    """Yield what composes a small run with a user's files; forget the user's modules after it."""
    write(files, folder)
    monkeypatch.syspath_prepend(str(folder))

    def composed(*overrides: str) -> DictConfig:
        own = [f"hydra.searchpath=[file://{folder}/my_conf]", "trust=[my_package]"]
        places = [f"run_dir={folder}/runs/one", f"paths.cache={folder}/cache"]
        with initialize_config_dir(config_path(), version_base="1.3"):
            return compose("train", [*own, *SMALL, *places, *overrides])

    yield composed
    for name in [name for name in sys.modules if name.split(".")[0] == "my_package"]:
        del sys.modules[name]
