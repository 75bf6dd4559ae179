"""Where runs depart from the paper and its code: by hand, below a table, and in what is shipped."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf
from paper_table import build_table

from lgan.cli.paper import commands
from lgan.errors import ConfigError
from lgan.launch.compose import compose_run
from lgan.launch.paper_cells import departures_of, plan_of
from lgan.reports.departures import Rule, departures
from lgan.reports.paper_file import PaperTable

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


def config(name: str, rate: float, **method: object) -> DictConfig:
    return OmegaConf.create(
        {"data": {"name": name}, "training": {"rate": rate, "betas": [0.5, 0.9]}, "method": method}
    )


def test_a_run_departs_where_its_value_is_another() -> None:
    rule = Rule("the code", values={"training.rate": 0.1, "training.betas": [0.5, 0.9]})
    assert rule.departures(config("a", 0.1)) == []
    assert rule.departures(config("a", 0.2)) == ["training.rate is 0.2, the code has 0.1"]
    rule = Rule("the code", {"data.name": ["a", "b"]}, {"method.x": 3}, "shuffles", why="so be it")
    assert rule.departures(config("c", 0.1)) == []
    said = ["method.x is null, the code has 3 (so be it)", "the code shuffles (so be it)"]
    assert rule.departures(config("b", 0.1)) == said
    assert rule.departures(config("a", 0.1, x=3)) == said[1:]
    absent = Rule("the paper", {"method.selects": None}, says="selects")
    assert absent.departures(config("a", 0.1)) == ["the paper selects"]
    assert absent.departures(config("a", 0.1, selects=True)) == []


def test_lines_name_the_runs() -> None:
    configs = {("a", "x"): config("a", 0.2, n=1), ("a", "y"): config("a", 0.2, n=2),
               ("b", "x"): config("b", 0.2, n=1)}  # fmt: skip
    rules = [Rule("C", values={"training.rate": 0.1, "method.n": 2}), Rule("P", says="is short"),
             Rule("P", {"data.name": "a"}, says="has no a")]  # fmt: skip
    assert departures(rules, configs) == [
        "all: training.rate is 0.2, C has 0.1.",
        "a (x), b: method.n is 1, C has 2.",
        "all: P is short.",
        "a: P has no a.",
    ]


@pytest.fixture
def ask(tmp_path: Path):
    """Return a maker of what is asked of a table of two methods that says what a code has."""

    def make(has: object, **changes: object) -> DictConfig:
        content = {
            "title": "T", "numbers": {"source": "S", "values": {}}, "has": has,
            "runs": {"digits": ["data=digits"]},
            "methods": {"sft": ["method=sft"], "joint": ["method=joint"]},
            "columns": [{"key": "k", "title": "K", "run": "digits", "metric": "l1"}],
            "budgets": {"smoke": {"overrides": ["budget=smoke"],
                                  "cells": {"*/jo*": ["training.batch_size=8"]}}},
        }  # fmt: skip
        (tmp_path / "paper.yaml").write_text("{x: {y: 1}}")
        (tmp_path / "table.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        asked = {
            "table": f"{tmp_path}/table.yaml", "budget": "smoke", "data_root": None, "only": None,
            "methods": None, "seeds": [0], "runs": f"{tmp_path}/out", "overrides": [],
            "dry_run": False,
        }  # fmt: skip
        return OmegaConf.create(asked | changes)

    return make


HAS = [{"source": "The code", "values": {"training.steps": 500, "training.batch_size": 32}}]
SAID = ["all: training.steps is 3, The code has 500.",
        "digits (joint): training.batch_size is 8, The code has 32."]  # fmt: skip


def test_departures_stand_below_the_table_and_after_the_commands(ask, make_run) -> None:
    def train(config: DictConfig) -> Path:
        return make_run(config.method.name, config.seed)

    text = build_table(ask(HAS), train)
    below = text.partition("Where these runs depart from the paper and its code:")[2]
    lines = [line.replace("\\", "") for line in below.splitlines() if line]
    assert lines == [f"- {line}" for line in SAID]
    assert "depart" not in build_table(ask([]), train)
    asked = plan_of(ask(HAS))
    assert commands(asked)[2:] == [f"# {line}" for line in SAID]


def test_what_cannot_be_composed_is_told_by_its_row(ask) -> None:
    plan = plan_of(ask(HAS, overrides=["nothing=3"]))
    with pytest.raises(ConfigError, match="nothing"):
        commands(plan)
    assert departures_of(plan) == []


@pytest.mark.parametrize(
    ("has", "said"),
    [
        ("paper.yaml#x", "has: paper.yaml#x names no list"),
        ([{"source": "C", "value": 1}], r"has\.0\.value"),
    ],
)
def test_a_rule_that_does_not_fit_is_named(ask, has, said) -> None:
    with pytest.raises(ConfigError, match=said):
        plan_of(ask(has))


# ---------------------------------------------------------------------------- what is shipped


@cache
def composed(paper: str, budget: str, *names: str) -> list[tuple[PaperTable, str, DictConfig]]:
    """Return each cell's config."""
    found = []
    for name in names:
        table = PaperTable.load(EXPERIMENTS / paper / f"{name}.yaml")
        for run in table.runs:
            for method in table.methods:
                if table.left_out(run, method, budget) is None:
                    config = compose_run(table.overrides(run, method, budget, 0))
                    found.append((table, f"{run}/{method}", config))
    return found


MERGAN = ("mergan", "paper", "table1", "table2")
DGM = ("dgm", "paper_code", "table1")


def by_key(table: PaperTable, config: DictConfig) -> set[str]:
    """Return the keys in which a run departs."""
    said = [text for rule in table.has for text in rule.departures(config)]
    return {text.split()[0] for text in said if ", " in text and "." in text.split()[0]}


@pytest.mark.slow
@pytest.mark.parametrize("tables", [MERGAN, DGM, ("piggyback", "paper", "table3", "table4")])
def test_rules_speak_of_keys_that_are_there(tables: tuple[str, ...]) -> None:
    spoken: set[int] = set()
    for table, cell, config in composed(*tables):
        for place, rule in enumerate(table.has):
            if Rule(rule.source, rule.when, says="x").departures(config):
                spoken.add(place)
                for key in rule.values:
                    parent, _, last = key.rpartition(".")
                    assert last in OmegaConf.select(config, parent), (cell, key)
            elif "callbacks.selection" in rule.when:  # it was asked for
                spoken.add(place)
    assert spoken == set(range(len(table.has))), "each rule is of some run"


@pytest.mark.slow
@pytest.mark.parametrize("tables", [MERGAN, DGM])
def test_as_the_code_is_complete_but_for_what_is_said(tables: tuple[str, ...]) -> None:
    for table, cell, config in composed(*tables):
        assert by_key(table, config) == set(), cell


def test_what_the_budgets_change_is_said() -> None:
    table = PaperTable.load(EXPERIMENTS / "mergan" / "table1.yaml")
    for run in ("mnist", "svhn"):
        config = compose_run(table.overrides(run, "mergan_ra", "cpu", 0))
        assert by_key(table, config) >= {"method.alignment_weight", "training.steps"}
    table = PaperTable.load(EXPERIMENTS / "dgm" / "table1.yaml")
    config = compose_run(table.overrides("mnist", "dgm_a", "paper", 0))
    assert by_key(table, config) == {
        "method.settle", "method.leak", "method.replay", "method.replay_source",
        "method.statistics", "data.splits.resize", "data.splits.validation",
    }  # fmt: skip
    steps = compose_run(table.overrides("mnist", "dgm_w", "cpu", 0)).training.steps
    assert f"{steps} for DGM" in table.budgets["cpu"]["note"]
