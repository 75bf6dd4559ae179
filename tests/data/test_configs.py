"""Every conf/data/*.yaml fits the code it names."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from hydra.utils import get_class, get_method, instantiate
from omegaconf import OmegaConf

FOLDER = Path(__file__).resolve().parents[2] / "conf" / "data"
# Translation tasks; see test_data_translation_configs.py.
TRANSLATION = {"photos", "paired_folders", "unpaired_folders", "facades_maps"}
TRANSLATION |= {"piggyback_paired", "piggyback_unpaired", "piggyback_style"}
EVERY = {path.stem for path in FOLDER.glob("*.yaml")}
NAMES = sorted(EVERY - TRANSLATION)
TRAINING = {
    "steps",
    "batch_size",
    "critic_steps",
    "learning_rate",
    "betas",
    "alignment_weight",
    "replay_samples",
    "replay_reduction",
}
DGM = {
    "width",
    "width_w",
    "width_a",
    "init",
    "steps",
    "epochs",
    "short_steps",
    "batch_size",
    "learning_rate",
    "mask_scale_w",
    "mask_scale_a",
    "sparsity_weight_w",
    "sparsity_weight_a",
    "penalty_weight",
    "generator_class_weight",
    "reset_discriminator",
}


def load(name: str) -> dict:
    """Read one file with the values that other groups give it."""
    config = OmegaConf.merge(
        OmegaConf.load(FOLDER / f"{name}.yaml"), {"seed": 0, "preset": {"resize": "pad"}}
    )
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


def test_each_data_set_has_one() -> None:
    expected = "cifar10 digits fashion_mnist image_folder imagenet50 lsun mnist svhn"
    assert expected.split() == NAMES
    assert {*NAMES, *TRANSLATION} == EVERY


@pytest.mark.parametrize("name", NAMES)
def test_its_keys_are_parameters(name: str) -> None:
    data, training = load(name)["data"], load(name)["training"]
    assert data["name"] == name and set(training) == TRAINING
    parameters = inspect.signature(get_class(data.pop("_target_"))).parameters
    assert set(data) == set(parameters), "all are shown, none is unknown"
    splits = data["splits"]
    function = get_method(splits.pop("_target_"))
    assert splits.pop("_partial_") is True
    settable = {key for key in inspect.signature(function).parameters if key != "root"}
    hidden = settable - set(splits)
    assert set(splits) <= settable and hidden <= {"seed"}
    for key, value in splits.items():
        default = inspect.signature(function).parameters[key].default
        assert value == (list(default) if isinstance(default, tuple) else default)
    assert name.endswith(function.__name__)


@pytest.mark.parametrize("name", NAMES)
def test_dgm_has_all_its_numbers_and_no_other(name: str) -> None:
    defaults = OmegaConf.load(FOLDER.parent / "train.yaml").dgm
    given = load(name)["dgm"]
    assert set(defaults) | set(given) == DGM
    for key in ("width_w", "width_a", "steps", "epochs", "batch_size"):
        value = given.get(key, defaults.get(key))
        assert isinstance(value, int) and value > 0
    for key in given.keys() - {"generator_class_weight", "reset_discriminator"}:
        assert given[key] > 0, key


def test_the_papers_numbers_of_dgm() -> None:
    """The table of configurations of the official code (papers/dgm.md, section 4)."""
    defaults = OmegaConf.load(FOLDER.parent / "train.yaml").dgm
    official = {
        "mnist": (2e-3, 64, 101, 0.08, 1.0, True, 6),
        "svhn": (5e-4, 64, 151, 1e-3, 1.0, True, 6),
        "imagenet50": (2e-4, 70, 101, 1e-3, 0.6, False, 64),
    }
    keys = "learning_rate batch_size epochs sparsity_weight_w penalty_weight reset_discriminator"
    for name, expected in official.items():
        numbers = {**OmegaConf.to_container(defaults), **load(name)["dgm"]}
        found = tuple(numbers[key] for key in (*keys.split(), "width_w"))
        assert found == expected, name
        assert numbers["mask_scale_w"] == 1e4
    mnist = {**OmegaConf.to_container(defaults), **load("mnist")["dgm"]}
    assert (mnist["mask_scale_a"], mnist["sparsity_weight_a"], mnist["width_a"]) == (1e5, 0.01, 20)


def test_the_embedded_set_works_as_configured() -> None:
    data = instantiate(load("digits")["data"])
    data.setup()
    assert (data.num_tasks, data.num_classes, data.image_shape) == (5, 10, (1, 8, 8))
    data.open(4)
    (first, second) = data.train_dataloader()[0]
    assert first["x"].shape == second["x"].shape == (32, 1, 8, 8)
    assert set(first["y"].tolist()) <= {8, 9}
