"""Did you mean ...? Names that are nearly right, and what a refused command leaves behind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import pytest
import yaml
from omegaconf import OmegaConf

from lgan import __version__
from lgan.arguments import check_value
from lgan.cli import common, main
from lgan.cli.common import config_path, run_script
from lgan.data.task_folders import require_names
from lgan.errors import ConfigError, DataError, did_you_mean
from lgan.inference.task_network import find
from lgan.launch.compose import compose_run
from lgan.launch.sweep import leave_nothing
from lgan.run.lock import run_lock
from lgan.training.settings import check_settings

CONF = Path(config_path())


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        (["metod=sft"], "method"),
        (["method=sfft"], "method=sft"),
        (["data=imagefolder"], "data=image_folder"),
        (["steps=3"], "training.steps"),
        (["trainig.steps=3"], "training.steps"),
        (["data=image_folder", "data.splits.sise=3"], "data.splits.size"),
        (["evaluation.sample_per_class=3"], "evaluation.samples_per_class"),
    ],
)
def test_keys_groups_and_choices(asked: list[str], meant: str) -> None:
    with pytest.raises(ConfigError, match=rf"\(did you mean {meant}\?\)$"):
        compose_run(asked)


def test_a_script_says_it_behind_hydras_words(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["lgan-table", "rusn=x"])
    with pytest.raises(SystemExit):
        run_script(lambda config: None, "table")
    assert capsys.readouterr().err.splitlines()[-1] == "error: did you mean runs?"


def test_values_classes_tasks_and_names() -> None:
    with pytest.raises(ConfigError, match=r"fit=crob must be .* \(did you mean crop\?\)\.$"):
        check_value("fit", Literal["crop", "stretch"] | None, "crob")
    with pytest.raises(ConfigError, match=r"task=zwie has not .* \(did you mean zwei\?\); choose"):
        find("task", "zwie", {0: "eins", 1: "zwei"})
    with pytest.raises(ConfigError, match=r"each once \(did you mean facades\?\)"):
        require_names(["facade"], ["facades", "maps"])
    assert did_you_mean("xyz", ["abc"]) == ""


@pytest.mark.parametrize("script", ["lgan", "lgan-train", "lgan-table"])
def test_each_script_knows_its_version(monkeypatch, capsys, script: str) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--version"])
    if script == "lgan":
        main.main()
    else:
        common.run_script(lambda config: None, script.removeprefix("lgan-"))
    assert capsys.readouterr().out == f"lgan {__version__}\n"


def test_lgan_lists_the_scripts(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["lgan"])
    main.main()
    said = capsys.readouterr().out
    assert "  lgan-train      train one method on one task sequence, or many in a sweep." in said


def test_a_refusal_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError), run_lock(tmp_path / "a" / "b"):
        raise DataError
    assert not [*tmp_path.iterdir()]
    sweep = tmp_path / "a" / "sweep"
    sweep.mkdir(parents=True)
    (sweep / "multirun.yaml").touch()
    leave_nothing([sweep, tmp_path / "a"])
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("name", sorted(p.stem for p in (CONF / "experiment").glob("*.yaml")))
def test_experiments_are_as_they_should_be(name: str) -> None:
    check_settings(compose_run([f"experiment={name}"], resolve=False))


def test_the_demo_is_the_makefiles() -> None:
    params = yaml.safe_load((CONF / "experiment" / "demo.yaml").read_text())
    methods = params["hydra"]["sweeper"]["params"]["method"]
    assert f"METHODS := {methods}\n" in (CONF.parent / "Makefile").read_text()


def test_tags_and_all_loggers() -> None:
    config = compose_run(["logger=all", "tags=[baseline,v2]"])
    assert config.logger.keys() >= {"csv", "tensorboard", "wandb"}
    assert OmegaConf.to_object(config.logger.wandb.tags) == ["baseline", "v2"]
    assert config.run_name == compose_run([]).run_name, "a tag changes no number"
    with pytest.raises(ConfigError, match="tags=baseline must be"):
        check_settings(compose_run(["tags=baseline"]))
