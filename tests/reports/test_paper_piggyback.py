"""Piggyback GAN's tables: parts, single tasks, stand-ins, and the figure of the trade-off."""

from __future__ import annotations

import copy
import io
from pathlib import Path

import numpy as np
import pytest
import yaml
from omegaconf import DictConfig, OmegaConf
from paper_table import build_table
from PIL import Image

from lgan.launch.compose import compose_run
from lgan.reports import trade_off_figures as drawn
from lgan.reports.collect import Group, Run
from lgan.reports.paper import Outcome, read
from lgan.reports.paper_file import Column, PaperTable
from lgan.run.record import RunRecord, value_at

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments" / "piggyback"
TABLES = ["table1", "table2", "table3", "table4", "figure2"]


def translation_record(seed: int, trained: int = 30) -> RunRecord:
    """Two tasks; FID of task 1 is 10 and 20, of task 2 30 + seed; 100 weights are Full."""
    fids = [[10.0], [20.0, 30.0 + seed]]
    rows = [
        {
            "task": task,
            "metrics": [
                {"fid_classifier": fid, "accuracy_generated": 0.5 + 0.25 * j, "l1": 0.125}
                for j, fid in enumerate(fids[task])
            ],
            "overall": {"fid_classifier_pooled": 7.0 + task, "accuracy_generated": 0.625},
            "parameters": {"added": [100, trained][task], "stored": [100, 100 + trained][task],
                           "full": 100 * (task + 1)},
        }
        for task in range(2)
    ]  # fmt: skip
    return RunRecord("photos", "some", seed, 2, status="complete", rows=rows)


@pytest.fixture
def outcome() -> Outcome:
    return Outcome([translation_record(0), translation_record(2)])


def column(metric: str, **fields) -> Column:
    return Column("key", "title", "run", metric, **fields)


def test_a_column_may_be_of_one_task(outcome: Outcome):
    assert read(column("fid_classifier", task=2), "fid_classifier", outcome).values == [30.0, 32.0]
    assert read(column("fid_classifier"), "fid_classifier", outcome).values == [25.0, 26.0]
    after_one = column("fid_classifier", task=1, after_task=1)
    assert read(after_one, "fid_classifier", outcome).values == [10.0, 10.0]
    accuracy = column("accuracy_generated", task=2)
    assert read(accuracy, "accuracy_generated", outcome).values == [75.0, 75.0]
    early = read(column("l1", task=2, after_task=1), "l1", outcome)
    assert early.values == [] and early.remarks == ["l1 was not measured"]


def test_a_stand_in_is_never_comparable_and_pooled_stays_pooled(outcome: Outcome):
    mean = read(column("fid_inception", stand_in="fid_"), "fid_inception", outcome)
    assert (mean.metric, mean.values, mean.comparable) == ("fid_classifier", [25.0, 26.0], False)
    pooled = column("fid_inception_pooled", stand_in="fid_*_pooled")
    found = read(pooled, "fid_inception_pooled", outcome)
    assert (found.metric, found.values) == ("fid_classifier_pooled", [8.0, 8.0])


def test_a_path_may_be_a_quotient():
    row = {"parameters": {"stored": 130, "full": 200, "none": 0}, "disk": {"a": 2.0, "b": 3.0}}
    assert value_at(row, "parameters.stored / parameters.full") == 0.65
    assert value_at(row, "disk.a + disk.b / parameters.full") == 5 / 200
    assert np.isnan(value_at(row, "parameters.stored / parameters.none"))
    assert np.isnan(value_at(row, "parameters.stored / parameters.absent"))


@pytest.fixture
def table_file(tmp_path: Path) -> Path:
    """Return a table of two parts; the paper has a number for the first only."""
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump({"t": {"values": {"fid": {"some": 5.0}}}}))
    content = {
        "title": "Table", "numbers": "paper.yaml#t", "runs": {"real": [], "photos": []},
        "methods": {"some": ["method=sft"]},
        "columns": [
            {"key": "fid", "title": "FID", "run": "real", "metric": "fid_inception",
             "stand_in": "fid_", "part": "Theirs"},
            {"key": "ours", "title": "FID", "run": "photos", "metric": "fid_classifier",
             "part": "Our stand-in"},
        ],
        "budgets": {"smoke": {"note": "nothing"}},
    }  # fmt: skip
    path = tmp_path / "table.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def test_a_stand_ins_part_has_no_place_for_the_papers_number(table_file: Path, tmp_path: Path):
    def train(config: DictConfig) -> Path:
        translation_record(config.seed).save(tmp_path / f"run{config.seed}")
        return tmp_path / f"run{config.seed}"

    config = OmegaConf.create(
        {"table": str(table_file), "budget": "smoke", "data_root": None, "only": None,
         "methods": None, "seeds": [0], "runs": str(tmp_path / "out"), "overrides": [],
         "dry_run": False}
    )  # fmt: skip
    theirs, ours = build_table(config, train).split("## Our stand-in")
    assert "## Theirs" in theirs
    assert "| ours - paper |" in theirs and "not comparable" in theirs
    assert "| FID | some | 25.00 | 1 | 5.00 | – |" in theirs
    assert "paper" not in ours
    assert "| FID | some | 25.00 | 1 |  |" in ours


# --------------------------------------------------------------------------------- the trade-off


def group(label: str, trained: int) -> Group:
    records = [translation_record(seed, trained) for seed in (0, 2)]
    return Group(label, [Run(Path(), record, {}) for record in records])


def test_new_parameters_are_shares_of_one_full_network():
    record = translation_record(0)
    # 30 new ones after two tasks, whose T x Full is 200
    assert drawn.new_share(record, 1) == pytest.approx(0.3)
    assert drawn.new_share(record, 0) == 1.0
    assert np.isnan(drawn.new_share(record, 2))
    assert drawn.metric_of(record, "fid_classifier", 1) == 30.0
    assert drawn.metric_of(record, "fid_classifier", 0) == 10.0
    assert np.isnan(drawn.metric_of(record, "fid_inception", 1))


def test_the_trade_off_is_drawn_where_it_was_measured():
    groups = [group("a", 5), group("b", 30), group("Full", 100)]
    picture = drawn.trade_off(groups, {"a": 0.0, "b": 0.25}, 1)
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
    assert np.ptp(pixels, axis=-1).max() > 50
    assert drawn.trade_off(groups, {}, 1, metric="kid_") is None
    silent = copy.deepcopy(groups)
    for one in silent:
        for record in one.records:
            record.rows[1].pop("parameters")
    assert drawn.trade_off(silent, {"a": 0.0}, 1) is not None


# --------------------------------------------------------------------------- Piggyback GAN's files


@pytest.fixture(scope="module")
def tables() -> dict[str, PaperTable]:
    return {name: PaperTable.load(EXPERIMENTS / f"{name}.yaml") for name in TABLES}


def test_every_number_of_the_paper_has_its_place(tables: dict[str, PaperTable]):
    for name, table in tables.items():
        keys = {column.key for column in table.columns}
        for cells in (table.numbers, table.metrics, table.notes):
            assert set(cells) <= keys, name
            assert all(set(of) <= set(table.methods) for of in cells.values()), name
    assert tables["table1"].numbers["fid"]["pure_factorization"] == 303.90
    assert tables["table4"].numbers["acc_style"]["sft_heads"] == 50.0


def test_stand_ins_stand_apart_from_the_papers_numbers(tables: dict[str, PaperTable]):
    for name, table in tables.items():
        for column in table.columns:
            has = any(table.number(column, method).present for method in table.methods)
            assert has == (column.part == "The paper's data"), (name, column.key)
            assert column.part.startswith("Our stand-in") != has
            stands = column.run.startswith(("photos", "facades_maps_"))
            assert stands != has, (name, column.key)
            if column.metric.startswith("fid"):
                assert column.metric.startswith("fid_inception")
                assert column.stand_in in ("fid_", "fid_*_pooled")


def test_tables_share_their_runs(tables: dict[str, PaperTable]):
    """A run of the same name and method is the same run in every table and budget."""
    asked: dict[tuple[str, str, str], list[str]] = {}
    shared = 0
    for table in tables.values():
        for budget in table.budgets:
            for run in table.runs:
                for method in table.methods:
                    key, overrides = (run, method, budget), table.overrides(run, method, budget, 0)
                    shared += key in asked
                    assert asked.setdefault(key, overrides) == overrides
    assert shared > 10
    figure, first = tables["figure2"], tables["table1"]
    for own, other in {"lambda_0": "pure_factorization", "lambda_1_4": "piggyback_gan"}.items():
        for budget in figure.budgets:
            assert figure.overrides("photos_edges_grey", own, budget, 0) == first.overrides(
                "photos_edges_grey", other, budget, 0
            )


def test_configs_say_what_the_tables_mean(tables: dict[str, PaperTable]):
    table = tables["table2"]
    for first in ("cityscapes", "facades", "edges2handbags"):
        config = compose_run(table.overrides(f"{first}_maps", "piggyback_gan", "paper", 0))
        assert list(config.data.splits.tasks) == [first, "maps"]
        assert config.method.bank.unconstrained == 0.25
        assert "InceptionFeatures" in config.evaluation.extractor._target_
    config = compose_run(tables["table4"].overrides("photos_unpaired", "full", "cpu", 0))
    assert config.data.paired is False
    assert config.objective._target_.endswith("CycleGAN")
    assert config.network.generator.translator.ngf == 16
    config = compose_run(tables["figure2"].overrides("photos_edges_grey", "lambda_1_8", "smoke", 0))
    assert (config.method.bank.unconstrained, config.training.steps) == (0.125, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_every_run_composes(name: str, tables: dict[str, PaperTable]):
    table = tables[name]
    for method, entry in table.methods.items():
        runs = entry.runs or list(table.runs)
        config = compose_run(table.overrides(runs[-1], method, "smoke", 0))
        assert config.training.steps == 3
