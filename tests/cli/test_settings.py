"""Senseless values of the console scripts beside lgan-train: a sentence that names the key."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from lgan.arguments import settings_of
from lgan.cli import export, report, sample, table, translate
from lgan.cli.common import SPINS, config_path, run_script
from lgan.errors import ConfigError
from lgan.launch.paper_cells import make_plan

SCRIPTS = {
    "sample": (sample.main, {"run": "r"}),
    "table": (table.main, {"runs": "r"}),
    "report": (report.main, {"runs": "r"}),
    "translate": (translate.main, {"run": "r", "task": 0, "input": "i", "output": "o"}),
    "export": (export.main, {"run": "r", "task": 0, "output": "o"}),
    "paper": (make_plan, {"table": "t.yaml", "runs": "o"}),
}
"""Of each script the function whose arguments are its settings, and what has to be given."""


def settings(script: str, **changes):
    function, given = SCRIPTS[script]
    own = OmegaConf.load(Path(config_path()) / f"{script}.yaml")
    return settings_of(
        getattr(function, "__wrapped__", function), OmegaConf.merge(own, given, changes)
    )


@pytest.mark.parametrize(
    ("given", "then"),
    [
        ({}, SPINS),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, None),
    ],
)
def test_threads_that_wait_soon_sleep_unless_the_user_says_else(monkeypatch, given, then) -> None:
    environment = {
        k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    monkeypatch.setattr(os, "environ", environment | given)
    monkeypatch.setattr(sys, "argv", ["lgan-table", "--version"])
    run_script(print, "table")
    assert os.environ.get("GOMP_SPINCOUNT") == then


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_defaults_make_sense(script) -> None:
    assert settings(script)


@pytest.mark.parametrize(
    ("script", "key", "value", "said"),
    [
        ("sample", "run", None, "run=... is missing"),
        ("sample", "run", "", "run="),
        ("sample", "n", "x", "n=x .*whole number"),
        ("sample", "n", 0, "n=0 .*1"),
        ("sample", "n", 2.5, "n=2.5 .*whole number"),
        ("sample", "n", True, "n=True .*whole number"),
        ("sample", "seed", "x", "seed=x .*whole number"),
        ("sample", "after", [1], "after=.*whole number or a text"),
        ("table", "runs", None, "runs=... is missing"),
        ("table", "runs", [], "runs="),
        ("table", "format", "x", "format=x .*markdown.*latex.*csv"),
        ("table", "format", None, "format"),
        ("table", "columns", {"a": 1}, "columns"),
        ("report", "runs", None, "runs=... is missing"),
        ("report", "output", None, "output=... is missing"),
        ("report", "figures", [1], "figures="),
        ("translate", "run", None, "run=... is missing"),
        ("translate", "input", None, "input=... is missing"),
        ("translate", "output", None, "output=... is missing"),
        ("translate", "fit", "foo", "fit=foo .*none.*pad.*resize"),
        ("translate", "batch_size", 0, "batch_size=0 .*1"),
        ("translate", "batch_size", "x", "batch_size=x .*whole number"),
        ("translate", "test_mode", "train", "test_mode=train .*eval.*paper"),
        ("translate", "direction", "up", "direction=up .*forward.*backward"),
        ("translate", "overwrite", "maybe", "overwrite=maybe .*true or false"),
        ("translate", "seed", [1], "seed=.*whole number"),
        ("export", "output", None, "output=... is missing"),
        ("export", "formats", ["foo"], "formats.*foo.*safetensors.*onnx"),
        ("export", "formats", "foo", "formats.*foo.*safetensors.*onnx"),
        ("export", "formats", [], "formats"),
        ("export", "after", [1], "after=.*whole number or a text"),
        ("export", "direction", 3, "direction=3 .*forward"),
        ("paper", "table", None, "table=... is missing"),
        ("paper", "seeds", "x", "seeds.*x.*whole number"),
        ("paper", "seeds", [0, 1.5], "seeds.*1.5.*whole number"),
        ("paper", "methods", [None], "methods"),
        ("paper", "overrides", [1], "overrides=.* must be a list, each entry a text"),
        ("paper", "dry_run", "perhaps", "dry_run=perhaps .*true or false"),
    ],
)
def test_a_senseless_value_is_named(script, key, value, said) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        settings(script, **{key: value})
    assert "\n" not in str(caught.value)


def test_one_value_stands_for_a_list() -> None:
    assert settings("export", formats="onnx")["formats"] == ["onnx"]
    assert settings("paper", seeds=2, overrides="a=b")["seeds"] == [2]
    assert settings("table", runs=["a", "b"])["columns"] is None
