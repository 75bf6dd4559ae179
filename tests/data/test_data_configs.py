"""Every conf/data/*.yaml fits the code it names."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from hydra.utils import get_class, get_method, instantiate
from omegaconf import OmegaConf

FOLDER = Path(__file__).resolve().parents[2] / "conf" / "data"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
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
    several = load(name)["data"]["classes_per_task"] > 1
    weight = given.get("generator_class_weight", defaults.generator_class_weight)
    assert (weight > 0) == several, "the classifier alone tells a task's classes apart"


def test_the_embedded_set_works_as_configured() -> None:
    data = instantiate(load("digits")["data"])
    data.setup()
    assert (data.num_tasks, data.num_classes, data.image_shape) == (5, 10, (1, 8, 8))
    data.select(4)
    (first, second) = data.train_dataloader()[0]
    assert first["x"].shape == second["x"].shape == (32, 1, 8, 8)
    assert set(first["y"].tolist()) <= {8, 9}
