"""Grouping over seeds: what shares a row, what does not, and what is left out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lgan.errors import RunError
from lgan.reports.collect import collect


def test_seeds_share_a_group_wherever_the_runs_and_data_lie(runs: Path):
    found = collect(runs)
    assert [group.label for group in found.groups] == ["a_b&c%", "joint", "sft"]
    assert [record.seed for record in found.groups[2].records] == [0, 1]
    assert found.warnings == []


def test_groups_of_one_method_are_told_apart_by_what_differs(make_run, tmp_path: Path):
    # data.steps repeats training.steps (an interpolation in the config) and is not shown twice.
    make_run("sft", 0)
    longer = {"training": {"steps": 20}, "data": {"steps": 20}}
    make_run("sft", 0, config=longer)
    make_run("sft", 1, config=longer)
    found = collect(tmp_path)
    assert [g.label for g in found.groups] == [
        "sft (training.steps=10)",
        "sft (training.steps=20)",
    ]
    assert len(found.groups[1].runs) == 2
    assert found.groups[0].differing["data.steps"] == "10"


def test_the_preset_stands_for_what_it_implies(make_run, tmp_path: Path):
    make_run("sft", 0, preset="code", config={"method": {"alignment": "code"}})
    make_run("sft", 0, preset="paper", config={"method": {"alignment": "paper"}})
    labels = [group.label for group in collect(tmp_path).groups]
    assert labels == ["sft (preset=code)", "sft (preset=paper)"]


def test_evaluation_seed_is_a_setting_and_the_runs_own_seed_is_not(make_run, tmp_path: Path):
    make_run("sft", 0, config={"evaluation": {"seed": 0}})
    make_run("sft", 1, config={"evaluation": {"seed": 5}})
    labels = [group.label for group in collect(tmp_path).groups]
    assert labels == ["sft (evaluation.seed=0)", "sft (evaluation.seed=5)"]


def test_incomplete_runs_are_reported_and_in_no_group(make_run, tmp_path: Path):
    make_run("sft", 0)
    make_run("sft", 1, rows=1)
    make_run("ewc", 0, rows=1, status="failed", error="loss is nan")
    found = collect(tmp_path)
    assert [len(group.runs) for group in found.groups] == [1]
    assert any("1 of 2 tasks, status running" in warning for warning in found.warnings)
    assert any("status failed: loss is nan" in warning for warning in found.warnings)


def test_damaged_runs_are_reported_and_the_others_read(make_run, tmp_path: Path):
    make_run("sft", 0)
    (make_run("sft", 1) / "results.json").write_text("{")
    (make_run("ewc", 1) / "config.yaml").write_text("a: [")
    found = collect(tmp_path)
    assert [len(group.runs) for group in found.groups] == [1]
    assert len(found.warnings) == 2
    assert all("damaged" in warning for warning in found.warnings)


def test_a_seed_counts_once_and_the_newest_run_stays(make_run, tmp_path: Path):
    old, new = make_run("sft", 0), make_run("sft", 0)
    os.utime(old / "results.json", (1, 1))
    found = collect(tmp_path)
    assert [run.folder for run in found.groups[0].runs] == [new.resolve()]
    assert str(old) in found.warnings[0]


def test_several_folders_and_overlaps(runs: Path):
    found = collect([runs / "run0", runs / "run0", runs])
    assert sum(len(group.runs) for group in found.groups) == 4


def test_absent_and_empty_folders_are_named(tmp_path: Path):
    with pytest.raises(RunError, match="nowhere does not exist"):
        collect(tmp_path / "nowhere")
    with pytest.raises(RunError, match="no run found below"):
        collect(tmp_path)
