"""The method of CONTRIBUTING.md, from a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from contributing import examples, own_folder

from lgan.errors import ConfigError
from lgan.run.borders import load_border
from lgan.run.record import RunRecord
from lgan.training.fit import check_config
from lgan.training.train import train

RECIPE = """
# @package _global_
method:
  anchor_weight: 3.0
"""


@pytest.fixture
def composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = {"my_conf/recipe/weight_anchor/digits.yaml": RECIPE}
    yield from own_folder(examples("A method") | recipe, tmp_path, monkeypatch)


def test_it_is_one_module_and_one_yaml() -> None:
    expected = {"my_package/anchor.py", "my_conf/method/weight_anchor.yaml"}
    assert set(examples("A method")) == expected


@pytest.mark.slow
def test_it_is_trained_and_anchors_its_weights(composed, tmp_path: Path) -> None:
    moved = {}
    for weight in (0.0, 1e3):
        anchored = ["method=weight_anchor", f"method.anchor_weight={weight}"]
        folder = train(composed(*anchored, "training.steps=8", f"run_dir={tmp_path}/{weight}"))
        record = RunRecord.load(folder)
        assert record.complete and record.method == "weight_anchor"
        first, second = (load_border(folder / f"checkpoints/task{t}.pt")["state"] for t in range(2))
        names = [name for name in first if name.startswith("generator.")]
        moved[weight] = sum((first[n] - second[n]).square().sum().item() for n in names)
    assert moved[1e3] < moved[0.0]


def test_it_translates_too(composed) -> None:
    check_config(composed("method=weight_anchor", "data=photos"), (3, 64, 64), 4)


def test_its_recipe_is_found_beside_it_and_the_command_line_wins(composed) -> None:
    assert composed("method=weight_anchor").method.anchor_weight == 3
    assert composed("method=weight_anchor", "data=mnist").method.anchor_weight == 1
    asked = composed("method=weight_anchor", "method.anchor_weight=7")
    assert asked.method.anchor_weight == 7


def test_a_value_that_makes_no_sense_is_refused(composed) -> None:
    config = composed("method=weight_anchor", "method.anchor_weight=-1")
    with pytest.raises(ConfigError, match="method.anchor_weight=-1 must be a number of at least 0"):
        check_config(config, (1, 8, 8), 10)


def test_a_package_that_is_not_trusted_is_refused(composed) -> None:
    with pytest.raises(ConfigError, match=r"trust=\[my_package\]"):
        check_config(composed("method=weight_anchor", "trust=[]"), (1, 8, 8), 10)
