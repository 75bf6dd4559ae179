"""Numbers of the comparison table, worked by hand, and inert renderings."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from lgan.errors import ConfigError, RunError
from lgan.reports.collect import collect
from lgan.reports.columns import every_column
from lgan.reports.tables import (
    Table,
    comparison_tables,
    escape_csv,
    escape_latex,
    escape_markdown,
    latex,
    markdown,
    to_csv,
)
from lgan.run.columns import USUAL
from lgan.run.record import RunRecord


def cell(table: Table, label: str, key: str):
    rows = {row[0].text: row for row in table.rows}
    return rows[label][table.keys.index(key)]


@pytest.fixture
def table(runs: Path) -> Table:
    [found] = comparison_tables(collect(runs), ["all"])
    return found


@pytest.mark.parametrize(
    ("key", "mean", "text"),
    [
        # seeds end at (0.5 + 0.8) / 2 = 0.65 and (0.6 + 0.7) / 2 = 0.65
        ("accuracy_generated", 0.65, "65.0 ± 0.0"),
        # 0.5 and 0.6: sd = 0.1 / sqrt(2)
        ("accuracy_first_task", 0.55, "55.0 ± 7.1"),
        # 0.9 - 0.5 and 0.8 - 0.6
        ("forgetting", 0.3, "30.0 ± 14.1"),
        # (0.9 + 0.65) / 2 and (0.8 + 0.65) / 2
        ("aiq_accuracy", 0.75, "75.0 ± 3.5"),
        # AFQ 16 and 20; AIQ (10 + 16) / 2 and (14 + 20) / 2
        ("afq_fid_classifier", 18.0, "18.00 ± 2.83"),
        ("aiq_fid_classifier", 15.0, "15.00 ± 2.83"),
        ("diversity", 0.9, "0.90 ± 0.00"),
        ("classifier", 0.98, "98.0 ± 0.0"),
        ("parameters_total", 1500.0, "1,500"),
        ("train_seconds", 4.0, "4 ± 0"),
    ],
)
def test_numbers_by_hand(table: Table, key: str, mean: float, text: str):
    found = cell(table, "sft", key)
    assert found.mean == pytest.approx(mean)
    assert found.text == text


def test_one_seed_has_no_spread(table: Table):
    found = cell(table, "joint", "accuracy_first_task")
    assert found.text == "50.0"


def test_broken_rules_stand_in_the_table(table: Table):
    assert cell(table, "joint", "declares").text == "uses all real data"
    assert cell(table, "sft", "declares").text == "–"


def test_columns_nobody_fills_are_left_out(table: Table):
    assert "accuracy_reverse" not in table.keys


def test_fid_titles_name_extractor_and_counts(table: Table):
    title = table.titles[table.keys.index("afq_fid_classifier")]
    assert title == "AFQ of FID (classifier, N=100 per class, test=100) ↓"


@pytest.mark.parametrize(
    "changed",
    [
        {"feature_extractor_key": "features-2"},
        {"samples_per_class": 50},
        {"reference_images": {"0": 10, "1": 60}},
    ],
)
def test_fids_of_other_features_or_counts_get_their_own_column(make_run, tmp_path, changed):
    make_run("sft")
    make_run("ra", references=changed)
    [table] = comparison_tables(collect(tmp_path))
    columns = [key for key in table.keys if key.startswith("afq_fid_classifier")]
    assert len(columns) == 2
    for label in ("sft", "ra"):
        texts = [cell(table, label, key).text for key in columns]
        assert sorted(texts) == ["16.00", "–"]


def test_fid_of_inception_and_classifier_are_two_columns(make_run, tmp_path):
    make_run("sft")
    make_run("ra", fid="fid_inception")
    [table] = comparison_tables(collect(tmp_path))
    assert cell(table, "sft", "afq_fid_inception").text == "–"
    assert cell(table, "ra", "afq_fid_inception").text == "16.00"


def test_a_number_missing_for_one_seed_says_how_many_it_is_of(make_run, tmp_path):
    make_run("sft", 0)
    make_run("sft", 1, references={"samples_per_class": 50})
    [table] = comparison_tables(collect(tmp_path))
    texts = [cell(table, "sft", key).text for key in table.keys if key.startswith("afq")]
    assert sorted(texts) == ["16.00 (n=1)", "20.00 (n=1)"]


def test_one_table_per_data_set(make_run, tmp_path):
    make_run("sft")
    make_run("sft", data="mnist")
    assert [t.title for t in comparison_tables(collect(tmp_path))] == ["digits", "mnist"]


def test_chosen_columns_and_unknown_ones(runs: Path):
    [table] = comparison_tables(collect(runs), ["forgetting"])
    assert table.keys == ["method", "declares", "seeds", "forgetting"]
    with pytest.raises(
        ConfigError, match="columns=nonsense is none of all, tasks, accuracy_generated"
    ):
        comparison_tables(collect(runs), ["nonsense"])
    with pytest.raises(ConfigError, match=r"columns=alll .*did you mean all\?"):
        comparison_tables(collect(runs), ["alll"])


def test_only_incomplete_runs_is_an_error_that_names_them(make_run, tmp_path):
    make_run("sft", rows=1)
    with pytest.raises(RunError, match="no complete run.*1 of 2 tasks"):
        comparison_tables(collect(tmp_path))


def test_csv_has_a_line_per_run_border_task_and_metric(make_run, tmp_path):
    make_run("=1+1", 0)
    make_run("sft", 1)
    rows = list(csv.DictReader(io.StringIO(to_csv(collect(tmp_path)))))
    assert list(rows[0]) == ["run", "method", "seed", "border", "task", "metric", "value"]
    found = {(r["method"], r["border"], r["task"]): float(r["value"]) for r in rows
             if r["metric"] == "accuracy_generated"}  # fmt: skip
    assert found["sft", "1", "0"] == 0.6 and found["sft", "1", ""] == pytest.approx(0.65)
    assert {row["method"] for row in rows} == {"'=1+1", "sft"}


def test_the_default_table_is_short_ranked_and_marks_the_best(make_run, tmp_path):
    make_run("worse", 0)
    make_run("joint", 0, declaration="keeps all real data")
    better = make_run("better", 1)
    record = RunRecord.load(better)
    record.rows[1]["overall"]["accuracy_generated"] = 0.655  # which reads as another number
    record.save(better)
    [short] = comparison_tables(collect(tmp_path))
    [whole] = comparison_tables(collect(tmp_path), ["all"])
    assert len(short.keys) == 10 < len(whole.keys)
    assert {"accuracy_generated", "forgetting", "parameters_stored"} <= {*short.keys}
    assert "tasks" not in short.keys, "which is the same for all, and neither good nor bad"
    assert [row[0].text for row in short.rows] == ["better", "joint", "worse"]
    best = {key: [row[0].text for row in short.rows if row[place].best]
            for place, key in enumerate(short.keys)}  # fmt: skip
    assert best["accuracy_generated"] == best["forgetting"] == ["better"]
    assert best["afq_fid_classifier"] == ["worse"], "16 against 20; joint has 16, and all data"
    assert best["parameters_stored"] == best["seeds"] == [], "where all are alike, none is best"
    assert "| **65.5** |" in markdown([short]) and r"{\textbf{65.5}}" in latex([short])
    assert any(f"of {len(whole.keys) - 3} columns; columns=all" in note for note in short.notes)


def test_rows_of_fewer_tasks_are_last_and_not_marked(make_run, tmp_path):
    make_run("sft")
    make_run("ewc_gan", 1)
    first = {"index": 0, "classes": [0], "class_names": ["zero"]}
    make_run("short", rows=1, num_tasks=1, tasks=[first], status="complete")
    [table] = comparison_tables(collect(tmp_path))
    assert [row[0].text for row in table.rows][-1] == "short"
    assert not any(cell.best for cell in table.rows[-1])
    assert any(cell.best for row in table.rows[:-1] for cell in row)
    assert (
        "Rows of fewer tasks stand last, without bold: a shorter sequence is easier." in table.notes
    )


def test_columns_of_a_record_that_knows_no_ranks_have_those_of_now(make_run, tmp_path):
    known = {"key": "forgetting", "title": "f", "of": "forgetting.accuracy_generated",
             "hidden": False}  # fmt: skip
    folder = make_run("older")
    keep(folder, [known, known | {"key": "own"}, known | {"key": "quiet", "hidden": True}])
    columns = every_column([RunRecord.load(folder)])
    assert {c.key: c.rank for c in columns}.items() >= {
        "forgetting": 2,
        "own": USUAL,
        "quiet": None,
    }.items()


def test_markdown_has_as_many_cells_in_every_line(table: Table):
    table.rows[0][0] = type(table.rows[0][0])("pipe | in\nname")
    lines = [line for line in markdown([table]).splitlines() if line.startswith("|")]
    cells = {line.replace("\\|", "").count("|") for line in lines}
    assert len(lines) == 2 + len(table.rows)
    assert cells == {len(table.titles) + 1}


def test_latex_is_escaped_and_uses_booktabs(table: Table):
    text = latex([table])
    assert r"a\_b\&c\%" in text
    assert "a_b&c%" not in text
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    for line in body.splitlines()[1:]:
        assert line.replace(r"\&", "").count("&") == len(table.titles) - 1
        assert line.endswith(r"\\")


def test_escapes():
    assert escape_markdown("<b>*x*_y_|[a](b)`") == r"&lt;b&gt;\*x\*\_y\_\|\[a\](b)\`"
    assert escape_latex("50% {a}\\~^$#") == (
        r"50\% \{a\}\textbackslash{}\textasciitilde{}\textasciicircum{}\$\#"
    )
    assert [escape_csv(text) for text in ("=1+1", "@x", "sft")] == ["'=1+1", "'@x", "sft"]


def keep(folder: Path, columns: list, **measured: float) -> None:
    """Let a run's record keep columns, as runs write it now."""
    record = RunRecord.load(folder)
    record.rows[1]["overall"] |= measured
    record.columns = columns
    record.save(folder)


def test_a_record_says_itself_which_columns_its_metrics_have(make_run, tmp_path):
    known = [{"key": "edges", "title": "edges, %", "of": "overall.edges", "form": "percent",
              "digits": 2, "better": "lower", "rank": 1},
             {"key": "quiet", "title": "quiet", "of": "overall.quiet", "rank": None}]  # fmt: skip
    keep(make_run("mine"), known, edges=0.125, quiet=3.0)
    make_run("older")  # its record keeps no columns
    [table] = comparison_tables(collect(tmp_path))
    assert table.titles[table.keys.index("edges")] == "edges, % ↓"
    assert cell(table, "mine", "edges").text == "12.50"
    assert cell(table, "older", "edges").text == "–"
    assert cell(table, "older", "accuracy_generated").text == "65.0"
    assert "quiet" not in table.keys
    [asked] = comparison_tables(collect(tmp_path), ["quiet"])
    assert cell(asked, "mine", "quiet").text == "3.00"


@pytest.mark.parametrize("column", [{"key": "a"}, {"key": "a", "title": "a", "of": 3}, "a"])
def test_damaged_columns_are_named(make_run, tmp_path, column):
    keep(make_run("mine"), [column])
    with pytest.raises(RunError, match=r"results.json is damaged: ('columns'|columns.0)"):
        comparison_tables(collect(tmp_path))


def test_a_judge_stands_with_its_accuracy_whatever_columns_are_chosen(make_run, tmp_path):
    make_run("sft", references={"classifier_test_accuracy": 0.237})
    [table] = comparison_tables(collect(tmp_path), ["diversity"])
    notes = " ".join(table.notes)
    assert "(23.7% of the real test images right)" in notes
    assert "WARNING" in notes and "means little" in notes


def test_a_good_judge_is_not_warned_of(table: Table):
    notes = " ".join(table.notes)
    assert "(98.0% of the real test images right)" in notes and "WARNING" not in notes


def test_all_columns_show_what_else_the_matrix_tells(runs: Path):
    """FID 10 and 14 right after learning for the two seeds' first tasks, as in the fixture."""
    [table] = comparison_tables(collect(runs), ["all"])
    for key in ("plasticity", "forgetting_rate", "relative_forgetting_rate", "aiq_flat"):
        assert cell(table, "sft", f"{key}_fid_classifier").mean is not None
    assert cell(table, "sft", "backward_transfer_accuracy").mean == pytest.approx(-0.3)
