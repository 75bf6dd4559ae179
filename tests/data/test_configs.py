"""Every conf/data/*.yaml fits the code it names."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, get_method, instantiate
from omegaconf import DictConfig, OmegaConf

from lgan.cli.common import config_path

FOLDER = Path(config_path(), "data")
# Translation tasks; see test_translation_configs.py.
TRANSLATION = {"photos", "paired_folders", "unpaired_folders", "facades_maps"}
TRANSLATION |= {"piggyback_paired", "piggyback_unpaired", "piggyback_style"}
EVERY = {path.stem for path in FOLDER.glob("*.yaml")}
NAMES = sorted(EVERY - TRANSLATION)


def load(*overrides: str) -> DictConfig:
    budget = [] if any(each.startswith("budget=") for each in overrides) else ["budget=paper"]
    with initialize_config_dir(config_path(), version_base="1.3"):
        return compose("train", [*budget, *overrides])


def section(config: DictConfig, name: str) -> dict:
    return OmegaConf.to_container(config[name], resolve=True)  # type: ignore[return-value]


def test_each_data_set_has_one() -> None:
    expected = "cifar10 digits fashion_mnist image_folder imagenet50 lsun mnist svhn"
    assert expected.split() == NAMES
    assert {*NAMES, *TRANSLATION} == EVERY


# What lgan-extend alone sets; a key whose showing would rename the runs there are.
UNSHOWN = {"image_folder": {"classes", "further"}, "digits": {"train_limit_per_class"}}
BRING_METRICS = {"dual_memory"}


@pytest.mark.parametrize("name", NAMES)
def test_its_keys_are_parameters(name: str) -> None:
    config = load(f"data={name}")
    data = section(config, "data")
    assert data["name"] == name
    assert set(config.training) == {
        "steps", "batch_size", "critic_steps", "learning_rate", "betas", "class_weight",
    }  # fmt: skip
    parameters = inspect.signature(get_class(data.pop("_target_"))).parameters
    assert set(data) == set(parameters), "all are shown, none is unknown"
    splits = data["splits"]
    function = get_method(splits.pop("_target_"))
    assert splits.pop("_partial_") is True
    settable = {key for key in inspect.signature(function).parameters if key != "root"}
    hidden = settable - set(splits)
    assert set(splits) <= settable and hidden <= {"seed"} | UNSHOWN.get(name, set())
    for key, value in splits.items():
        default = inspect.signature(function).parameters[key].default
        assert value == (list(default) if isinstance(default, tuple) else default)
    assert name.endswith(function.__name__)


def test_data_know_no_method_and_methods_no_data() -> None:
    """What is set for a pair stands in conf/recipe."""
    methods = {path.stem for path in Path(config_path(), "method").glob("*.yaml")}
    for path in FOLDER.rglob("*.yaml"):
        plain = OmegaConf.to_container(OmegaConf.load(path))
        assert not {"method", "evaluation", "callbacks"} & set(plain), path
        assert not methods & set(plain), path
    for path in Path(config_path(), "method").glob("*.yaml"):
        plain = OmegaConf.to_container(OmegaConf.load(path))
        bring = {"evaluation"} if path.stem in BRING_METRICS else set()
        assert set(plain) <= {"defaults", "method", "objective", "training", "short"} | bring, path
        settings = [line.partition("#")[0] for line in path.read_text().splitlines()]
        assert not [name for name in EVERY if any(name in line for line in settings)], path


def test_the_papers_numbers_of_dgm() -> None:
    """The table of configurations of the official code (papers/dgm.md, section 4)."""
    official = {
        "mnist": (2e-3, 64, 101, 0.08, 1.0, True, 6, 8080),
        "svhn": (5e-4, 64, 151, 1e-3, 1.0, True, 6, 15553),
        "imagenet50": (2e-4, 70, 101, 1e-3, 0.6, False, 64, 18786),
    }
    for name, expected in official.items():
        config = load(f"data={name}", "method=dgm_w")
        method, training = config.method, config.training
        found = (
            training.learning_rate, training.batch_size, method.annealing.epochs,
            method.sparsity_weight, config.objective.penalty_weight, method.reset_discriminator,
            config.network.generator.width, training.steps,
        )  # fmt: skip
        assert found == expected, name
        assert method.annealing.scale == 1e4
    mnist = load("data=mnist", "method=dgm_a")
    assert (mnist.method.annealing.scale, mnist.method.sparsity_weight) == (1e5, 0.01)
    assert (mnist.network.generator.width, mnist.network.generator.init) == (20, "normal")


def test_the_papers_numbers_of_mergan() -> None:
    """papers/mergan.md, sections 2 and 5."""
    weights = {"mnist": 1e-3, "svhn": 1e-2, "lsun": 1e-3}
    steps = {"mnist": 4000, "svhn": 8000, "lsun": 20000}
    for name, weight in weights.items():
        config = load(f"data={name}", "method=mergan_ra")
        assert (config.method.alignment_weight, config.training.steps) == (weight, steps[name])
        short = load(f"data={name}", "method=mergan_ra", "budget=cpu")
        assert (short.method.alignment_weight, short.training.steps) == (5e-3, 300)
        asked = load(f"data={name}", "method=mergan_ra", "method.alignment_weight=7", "budget=cpu")
        assert asked.method.alignment_weight == 7
    lsun = load("data=lsun", "method=mergan_jtr").method
    assert (lsun.replay_samples, lsun.replay_reduction) == ("full", "mean")
    digits = load("data=mnist", "method=mergan_jtr").method
    assert (digits.replay_samples, digits.replay_reduction) == ("shared", "sum")


def test_the_embedded_set_works_as_configured() -> None:
    data = instantiate(load("data=digits").data)
    data.setup()
    assert (data.num_tasks, data.num_classes, data.image_shape) == (5, 10, (1, 8, 8))
    data.open(4)
    (first, second) = data.train_dataloader()[0]
    assert first["x"].shape == second["x"].shape == (32, 1, 8, 8)
    assert set(first["y"].tolist()) <= {8, 9}
