"""Everything that is shipped makes a run that can be trained, or is refused with a reason.

Every data set of conf/ with every method, preset and budget, and every cell of every table of
experiments/: composed, and held against each other by `check_config`, without data.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from lgan.arguments import locate
from lgan.cli.common import config_path
from lgan.errors import ConfigError
from lgan.reports.paper_file import PaperTable
from lgan.reports.setups import differing, setup_of
from lgan.training import build, fit

CONF = Path(config_path())
EXPERIMENTS = CONF.parent / "experiments"
PAPERS = sorted(path.parent.name for path in EXPERIMENTS.glob("*/paper.yaml"))
PICTURES = {
    "cifar10": ((3, 32, 32), 10),
    "digits": ((1, 8, 8), 10),
    "facades_maps": ((3, 128, 128), 2),
    "fashion_mnist": ((1, 32, 32), 10),
    "image_folder": ((3, 32, 32), 10),
    "imagenet50": ((3, 32, 32), 50),
    "lsun": ((3, 64, 64), 4),
    "mnist": ((1, 32, 32), 10),
    "paired_folders": ((3, 256, 256), 2),
    "photos": ((3, 64, 64), 4),
    "piggyback_paired": ((3, 256, 256), 4),
    "piggyback_style": ((3, 256, 256), 2),
    "piggyback_unpaired": ((3, 256, 256), 4),
    "svhn": ((3, 32, 32), 10),
    "unpaired_folders": ((3, 256, 256), 2),
}
"""Shape of the pictures and number of classes (of a translation: of tasks) of each data set."""
STAND_INS = dict.fromkeys(
    ("chars74k-digits32", "cifar10-jpg", "tiny-imagenet-10"), ((3, 32, 32), 10)
)
"""The same of class folders under names of their own, in tables."""
UNPAIRED = {"unpaired_folders", "piggyback_unpaired", "piggyback_style"}
PAIRED = {"paired_folders", "piggyback_paired", "facades_maps", "photos"}
CLASSES = PICTURES.keys() - UNPAIRED - PAIRED
DRAW = {
    *("dgr", "dgm_w", "dgm_a", "mergan_jtr"),
    *("joint_classifier", "vanilla_s", "ewc_s", "pi_s", "rwalk_s", "icarl", "dual_memory"),
}
REFUSED = {
    **dict.fromkeys(CLASSES, {"lifelong_gan"}),  # it distils a translator,
    **dict.fromkeys(PAIRED, DRAW),
    **dict.fromkeys(UNPAIRED, DRAW | {"ewc_gan", "lifelong_gan"}),  # and no composite
}
"""The methods that a data set's kind of task is refused with."""
BUDGETS = ("paper", "cpu", "smoke")
PRESETS = ("code", "paper")


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def pictures_of(config: DictConfig) -> tuple[tuple[int, int, int], int]:
    """Return shape and count, where an override has changed the size or the tasks."""
    (channels, height, width), count = (PICTURES | STAND_INS)[config.data.name]
    size = config.data.splits.get("size", height)
    return (channels, size, size * width // height), count


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(config_path(), version_base="1.3"):
        # A name that tells of no settings: their digest, made anew for each, says nothing of them.
        config = compose("train", [*overrides, "run_name=run"])
    OmegaConf.resolve(config)
    return config


TRIED: set[str] = set()
"""The networks and objectives of which a step was tried, on how many pictures up to four.

With another method, or with yet more pictures, it is the same.
"""


BUILT: dict[str, list[Any]] = {}
"""Callbacks, of which a few sets are built again and again; they are asked about each method."""
build_entries = build.build_entries


def entries(config: DictConfig, path: str) -> list[Any]:
    section = repr(config[path])
    if section not in BUILT:
        BUILT[section] = build_entries(config, path)
    return BUILT[section]


def refusal(config: DictConfig) -> str:
    """Return why a config is refused, or an empty text."""
    method: Any = locate(config, "method")
    size = min(config.data.batch_size, 4)
    parts = [config.network, config.objective, size, pictures_of(config)]
    step = repr([*parts, method.has_generator])
    known = patch.object(fit, "try_out") if step in TRIED else nullcontext()
    try:
        with known, patch.object(build, "build_entries", entries):
            fit.check_config(config, *pictures_of(config))
    except ConfigError as error:
        return str(error)
    TRIED.add(step)
    return ""


def test_every_data_set_is_here() -> None:
    assert names("data") == sorted(PICTURES)


@pytest.mark.slow
@pytest.mark.parametrize("data", sorted(PICTURES))
def test_every_method_on_every_data_set(data: str) -> None:
    """With the presets and the budgets in turn: every method meets each of them on some data."""
    row = sorted(PICTURES).index(data)
    for place, method in enumerate(names("method")):
        preset, budget = PRESETS[(row + place) % 2], BUDGETS[(row + place) % 3]
        config = composed(
            f"data={data}", f"method={method}", f"preset={preset}", f"budget={budget}"
        )
        assert (config.preset.name, config.budget) == (preset, budget)
        reason = refusal(config)
        if method in REFUSED[data]:
            assert re.match(f"method={method} does not go with ", reason), (method, reason)
        else:
            assert reason == "", (method, preset, budget)


@pytest.mark.slow
@pytest.mark.parametrize("data", sorted(CLASSES))
def test_same_networks_are_the_same_for_every_method(data: str) -> None:
    setups = []
    methods = {*names("method")} - REFUSED[data] if data == "digits" else {"sft", "dgr", "dgm_w"}
    for place, method in enumerate(sorted(methods)):
        overrides = [f"data={data}", f"method={method}", f"preset={PRESETS[place % 2]}"]
        config = composed("experiment=same_networks", *overrides)
        assert refusal(config) == "", method
        setups.append((method, setup_of(OmegaConf.to_container(config))))
    assert differing(setups) == (["–"] * len(methods), [])
    assert setups[0][1]["generator"].startswith("DGMGenerator(width=16, z_dim=")
    assert setups[0][1]["steps"] == "500"


@cache
def tables(paper: str) -> list[PaperTable]:
    paths = sorted((EXPERIMENTS / paper).glob("*.yaml"))
    return [PaperTable.load(path) for path in paths if path.stem not in ("paper", "budgets")]


def cells(paper: str, budget: str) -> list[tuple[str, ...]]:
    """Return the overrides of each cell; tables of a paper share runs, which count once."""
    return sorted(
        {
            tuple(table.overrides(run, method, budget, 0))
            for table in tables(paper)
            for run in (table.runs if budget in table.budgets else ())
            for method in table.methods
            if table.left_out(run, method, budget) is None
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "paper", [*sorted(path.parent.name for path in EXPERIMENTS.glob("*/paper.yaml")), "board"]
)
def test_every_cell_of_every_table(paper: str) -> None:
    """Budgets that differ in numbers of steps only are composed, and tried once."""
    tried: set[str] = set()
    for budget in tables(paper)[0].budgets:
        assert cells(paper, budget)
        for overrides in cells(paper, budget):
            config = composed(*overrides)
            parts = [config[key] for key in ("method", "objective", "network")]
            parts += [config.data.name, config.data.batch_size, pictures_of(config)]
            if repr(parts) not in tried:
                tried.add(repr(parts))
                assert refusal(config) == "", overrides


@pytest.mark.slow
def test_what_selects_by_validation_images_has_some() -> None:
    """MNIST's and CIFAR-10's are held out by their own configs; ImageNet-50's code selects none."""
    seen: set[str] = set()
    for table in tables("dgm"):
        for run in set(table.runs) - seen:
            seen.add(run)
            said = table.overrides(run, "dgm_w", "paper_code", 0)
            config = composed(*said)
            if run == "imagenet50":
                assert "selection" not in config.callbacks
            else:
                splits = config.data.splits
                held_out = splits.get("validation") or splits.get("validation_fraction")
                assert "selection" in config.callbacks and held_out
