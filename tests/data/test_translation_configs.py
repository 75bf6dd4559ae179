"""Every conf/data/*.yaml of translation tasks fits the code it names."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, get_method, instantiate
from omegaconf import DictConfig, OmegaConf

from lgan.arguments import parameters_of
from lgan.cli.common import config_path
from lgan.data.translation import OF_CLASSES
from lgan.errors import ConfigError, DataError

UNPAIRED = {"unpaired_folders", "piggyback_unpaired", "piggyback_style"}
NAMES = sorted(UNPAIRED | {"photos", "paired_folders", "facades_maps", "piggyback_paired"})


def load(name: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(config_path(), version_base="1.3"):
        return compose("train", [f"data={name}", *overrides])


@pytest.mark.parametrize("name", NAMES)
def test_its_keys_are_parameters(name: str) -> None:
    config, classes = load(name), load("mnist")
    data = OmegaConf.to_container(config.data, resolve=True)
    assert data["name"] == name and data["paired"] is (name not in UNPAIRED)
    assert set(config.training) == set(classes.training) | {"rate_schedule", "test_mode"}
    assert set(config.short) < set(config.training)
    parameters, _ = parameters_of(get_class(data.pop("_target_")))
    assert set(data) == set(parameters) - OF_CLASSES, "all are shown, none is unknown"
    splits = data["splits"]
    function = inspect.signature(get_method(splits.pop("_target_"))).parameters
    assert splits.pop("_partial_") is True
    assert set(splits) == set(function) - {"root"}
    # pix2pix's share of jitter, whatever the size
    assert data["augmentation"]["load_size"] == round(286 / 256 * splits["size"])


@pytest.mark.parametrize("name", NAMES)
def test_its_networks_and_objective_are_those_of_its_kind(name: str) -> None:
    config = load(name)
    unpaired = name in UNPAIRED
    assert config.objective._target_.endswith("CycleGAN" if unpaired else "Pix2Pix")
    assert config.network.name.startswith("cycle_" if unpaired else "unet")


@pytest.mark.parametrize(
    ("name", "tasks", "directions"),
    [
        ("piggyback_paired", "cityscapes maps facades edges2handbags", "BtoA BtoA BtoA AtoB"),
        ("piggyback_unpaired", "cityscapes maps facades edges2handbags", "BtoA BtoA BtoA AtoB"),
        ("piggyback_style", "photo2monet photo2ukiyoe", "BtoA BtoA"),
        ("facades_maps", "facades maps", "BtoA BtoA"),
    ],
)
def test_the_papers_sequences_and_what_they_miss(
    name: str, tasks: str, directions: str, tmp_path: Path
) -> None:
    """The sequences of papers/piggyback_gan.md, section 3; absent data is named."""
    folders = load(name).data.splits.folders
    assert [entry["name"] for entry in folders] == tasks.split()
    assert [entry["direction"] for entry in folders] == directions.split()
    assert all("training" in entry["fetch"] for entry in folders)
    first = folders[0]
    part = "trainA" if name == "piggyback_style" else "train"
    missing = tmp_path / first.get("root", first["name"]) / part
    with pytest.raises(DataError) as caught:
        instantiate(load(name, f"data.root={tmp_path}").data).setup()
    message = str(caught.value)
    assert message.startswith(f"{missing} is absent (task {first['name']}, data.root={tmp_path})")
    assert f"Fetch {first['fetch']}." in message and "layout" in message


@pytest.mark.parametrize("name", ["paired_folders", "unpaired_folders"])
def test_own_folders_must_be_listed(name: str) -> None:
    with pytest.raises(ConfigError, match=r"data.splits.folders=\[\] must list at least one task"):
        instantiate(load(name).data).setup()


def test_the_embedded_photographs_work_as_configured() -> None:
    data = instantiate(load("photos").data)
    data.setup()
    assert (data.num_tasks, data.num_classes, data.image_shape) == (4, 4, (3, 64, 64))
    data.open(3)
    assert len(data.info.images) == 320 and len(data.test_inputs(3)) == 100
    (item,) = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert item["x"].shape == item["z"].shape == (4, 3, 64, 64)
    assert item["y"].tolist() == [3] * 4


def test_pairs_can_be_taken_apart_by_the_configuration() -> None:
    splits = ["data.splits.size=8", "data.splits.train_pairs=4", "data.splits.test_pairs=2"]
    config = load("photos", "data.paired=false", "data.augmentation=null", *splits)
    data = instantiate(config.data)
    data.open(0)
    (item,) = data.train_dataloader()[0]
    assert item["x"].shape == (4, 6, 8, 8)
