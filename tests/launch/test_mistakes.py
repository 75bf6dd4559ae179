"""Did you mean ...? Names that are nearly right, and what a refused command leaves behind."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path
from typing import Literal

import pytest
import yaml
from omegaconf import OmegaConf

from lgan import __version__
from lgan.arguments import check_value
from lgan.cli import main
from lgan.cli.common import config_path, run_script
from lgan.data.tasks import require_names
from lgan.errors import ConfigError, DataError, did_you_mean
from lgan.inference.task_network import find
from lgan.launch.compose import compose_run
from lgan.launch.sweep import leave_nothing
from lgan.run.lock import run_lock
from lgan.training.fit import check_settings

CONF = Path(config_path())
TABLE = CONF.parent / "experiments/mergan/table1.yaml"


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
    with pytest.raises(ConfigError, match=rf"\(did you mean {meant}\?\); "):
        compose_run(asked)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            "rusn=x",
            "rusn is no key of this configuration (did you mean runs?); lgan-table --cfg job",
        ),
        ("~format.x", "format.x is no key of this configuration (did you mean format?); lgan-ta"),
        ("runs=größe", "runs=größe cannot be read: quote text that has more than plain letters"),
        ("--runs x", "--runs: settings are KEY=VALUE, without dashes; see --help"),
        (
            "--cfg=job hydra/launcher=jobilb",
            "hydra/launcher=jobilb is no choice (did you mean hydr",
        ),
        ("runs=x --cfg job colums=[a]", "colums is no key of this configuration (did you mean co"),
    ],
)
def test_a_script_says_it_in_one_sentence(monkeypatch, capsys, asked: str, said: str) -> None:
    monkeypatch.setattr(sys, "argv", ["lgan-table", *asked.split()])
    with pytest.raises(SystemExit):
        run_script(lambda config: None, "table")
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {said}")
    assert captured.err.count("\n") == 1
    assert not captured.out


def test_flags_may_stand_between_settings(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["lgan-table", "runs=x", "--cfg", "job", "format=csv"])
    run_script(lambda config: None, "table")
    assert "runs: x\nformat: csv\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        (["+training.step=3"], r"training.step is .* \(did you mean training.steps\?\)"),
        (["+methd=sft"], r"methd is no key .* \(did you mean method\?\)"),
        (["+mine.rate=0.1", "training.learning_rate=${mine.rate}"], None),
    ],
)
def test_what_is_added_is_used(asked: list[str], meant: str | None) -> None:
    config = compose_run(asked, resolve=False)
    with pytest.raises(ConfigError, match=meant) if meant else nullcontext():
        check_settings(config)


@pytest.mark.parametrize("script", ["train", "extend"])
def test_a_group_has_no_null(monkeypatch, capsys, script: str) -> None:
    monkeypatch.setattr(sys, "argv", [f"lgan-{script}", "callbacks=null"])
    with pytest.raises(SystemExit):
        run_script(lambda config: None, script)
    said = capsys.readouterr().err
    assert said.startswith("error: callbacks=null cannot be: callbacks takes the name of a choice")
    assert said.count("\n") == 1
    with pytest.raises(ConfigError, match=r"^method=3 cannot be: .* as method\.NAME=null\.$"):
        compose_run(["method=3"])


@pytest.mark.parametrize(
    ("script", "asked", "meant"),
    [("extend", "num_taks=3,4", "num_tasks"), ("paper", f"table={TABLE} sedes=[0],[1]", "seeds")],
)
def test_a_sweep_knows_the_keys_of_its_script(
    monkeypatch, capsys, tmp_path: Path, script: str, asked: str, meant: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"lgan-{script}", *asked.split(), "-m"])
    with pytest.raises(SystemExit):
        import_module(f"lgan.cli.{script}").main()
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith(f"(did you mean {meant}?); lgan-{script} --cfg job shows all.")
    )
    assert not [*tmp_path.iterdir()]


def test_values_classes_tasks_and_names() -> None:
    with pytest.raises(ConfigError, match=r"fit=crob must be .* \(did you mean crop\?\)\.$"):
        check_value("fit", Literal["crop", "stretch"] | None, "crob")
    with pytest.raises(ConfigError, match=r"task=zwie has not .* \(did you mean zwei\?\); choose"):
        find("task", "zwie", {0: "eins", 1: "zwei"})
    with pytest.raises(ConfigError, match=r"each once \(did you mean facades\?\)"):
        require_names(["facade"], ["facades", "maps"])
    assert did_you_mean("xyz", ["abc"]) == ""


def test_each_script_knows_its_version(monkeypatch, capsys) -> None:
    scripts = [*distribution("lgan").entry_points]
    for script in scripts:
        monkeypatch.setattr(sys, "argv", [script.name, "--version"])
        script.load()()
    assert capsys.readouterr().out == f"lgan {__version__}\n" * len(scripts)


def test_lgan_lists_the_scripts(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["lgan"])
    main.main()
    said = capsys.readouterr().out
    assert "  lgan-train      train one method on one task sequence, or many in a sweep." in said
    monkeypatch.setattr(sys, "argv", ["lgan", "trian", "method=sft"])
    with pytest.raises(SystemExit, match=r"lgan trian is no script \(did you mean lgan-train\?\)"):
        main.main()


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
