"""The record on disk: round trip, and what it says of damaged files."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import pytest

from lgan.errors import RunError
from lgan.files import write_json
from lgan.run.record import RunRecord


@pytest.fixture
def record() -> RunRecord:
    return RunRecord(data="digits", method="sft", seed=3, num_tasks=2)


def entry(task: int, *values: float) -> dict:
    metrics = [{"accuracy_generated": value} for value in values]
    return {"task": task, "metrics": metrics, "overall": {"accuracy_generated": values[-1]}}


def test_round_trip_keeps_everything_nan_included(record, tmp_path: Path):
    record.add_row(entry(0, 0.5))
    record.add_row(entry(1, math.nan, 0.25))
    record.status = "complete"
    record.save(tmp_path)
    read = RunRecord.load(tmp_path)
    assert read.complete
    assert read.matrix("accuracy_generated")[0] == [0.5]
    assert math.isnan(read.matrix("accuracy_generated")[1][0])
    assert read.overall("accuracy_generated") == 0.25
    assert read.overall("accuracy_generated", row=0) == 0.5
    assert list(tmp_path.iterdir()) == [tmp_path / "results.json"]


def test_the_file_has_a_line_for_each_row(record, tmp_path: Path) -> None:
    record.add_row(entry(0, math.nan))
    record.save(tmp_path)
    lines = (tmp_path / "results.json").read_text().splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.startswith(' "rows": ['))
    assert json.loads(lines[at + 1]) == entry(0, math.nan) | {
        "metrics": [{"accuracy_generated": None}],
        "overall": {"accuracy_generated": None},
    }
    assert lines[at + 2].strip() in ("]", "],")


def test_null_and_absent_metrics_read_as_nan(record):
    record.add_row(entry(0, 0.5))
    second = entry(1, 0.5, 0.5)
    second["metrics"] = [{"accuracy_generated": None}, {}]
    record.add_row(second)
    assert all(math.isnan(value) for value in record.matrix("accuracy_generated")[1])


def test_a_row_again_replaces_it_and_the_later_ones(record):
    record.add_row(entry(0, 0.5))
    record.add_row(entry(1, 0.1, 0.2))
    record.add_row(entry(0, 0.7))
    assert record.matrix("accuracy_generated") == [[0.7]]
    assert not record.complete


@pytest.mark.parametrize("bad", [entry(1, 0.1, 0.2), entry(0, 0.1, 0.2), entry(-1, 0.1)])
def test_rows_out_of_order_or_of_wrong_length_are_refused(record, bad):
    with pytest.raises(RunError):
        record.add_row(bad)
    assert record.rows == []


def test_status_complete_with_rows_missing_is_not_complete(record):
    record.add_row(entry(0, 0.5))
    record.status = "complete"
    assert not record.complete


def test_unknown_metric_names_those_there_are(record):
    record.add_row(entry(0, 0.5))
    with pytest.raises(RunError, match="'fid_x'.*it has: accuracy_generated"):
        record.matrix("fid_x")


def test_absent_file_says_that_this_is_no_run_folder(tmp_path: Path):
    with pytest.raises(RunError, match="not a run folder"):
        RunRecord.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 9}, "format 9"),
        ({"seed": "x"}, "seed: Input should be a valid integer"),
        ({"rows": {}}, "rows: Input should be a valid list"),
        ({"status": "done"}, "status: Input should be 'running'"),
        ({"rows": [{"task": 0, "metrics": []}]}, "metrics of 1 tasks, not 0"),
        ({"rows": [{"task": 1, "metrics": [{}]}]}, "row 0 should have task 0"),
        ({"rows": [3]}, r"rows\.0: Input should be a valid dictionary"),
        ({"rows": [{"metrics": [{}]}]}, "row 0 should have task 0"),
        ({"parent": {"tasks": 1, "rows": 3}}, "have a row for each of its tasks"),
        ({"num_tasks": 0, "rows": [{"task": 0, "metrics": [{}]}]}, "more rows than tasks"),
    ],
)
def test_altered_files_are_refused_with_the_reason(record, tmp_path: Path, change, message):
    record.save(tmp_path)
    path = tmp_path / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RunError, match=message):
        RunRecord.load(tmp_path)


@pytest.mark.parametrize("content", [b'{"format": 1, "da', b"[1]", b"\xff\xfe\x00"])
def test_truncated_and_binary_files_are_refused(tmp_path: Path, content: bytes):
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(RunError, match="damaged"):
        RunRecord.load(tmp_path)


def test_numbers_that_are_not_finite_are_null_in_the_file(tmp_path) -> None:
    """JSON has no NaN: other readers would refuse the file."""
    write_json(tmp_path / "a.json", {"a": [math.nan, 1.5], "b": (math.inf, {"c": -math.inf})})
    strict = json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)
    assert strict == {"a": [None, 1.5], "b": [None, {"c": None}]}


@pytest.mark.parametrize(
    "edit",
    [
        {"rewinds": "x"},
        {"rewinds": ["x"]},
        {"events": 3},
        {"tasks": ["x"]},
        {"columns": ["x"]},
        {"error": 3},
        {"ledger": ["x"]},
        {"ledger": {"0": "x"}},
        {"ledger": {"0": ["x"]}},
        {"rows": [{"task": 0, "metrics": [{"fid": "high"}]}]},
        {"rows": [{"task": 0, "metrics": [{}], "overall": "x"}]},
    ],
    ids=str,
)
def test_an_edited_record_is_refused(edit) -> None:
    whole = asdict(RunRecord(data="d", method="m", seed=0, num_tasks=2))
    assert RunRecord.from_dict(whole).num_tasks == 2
    with pytest.raises(RunError, match=r"results\.json is damaged"):
        RunRecord.from_dict(whole | edit)
