"""Intransigence against joint training, and the other scalars of a classifier's accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lgan.reports.collect import collect
from lgan.reports.intransigence import intransigence, reference_of, scalar
from lgan.reports.paper import Outcome, read
from lgan.reports.paper_file import Column
from lgan.reports.tables import Table, comparison_tables, markdown
from lgan.run.record import RunRecord

HEAD = "accuracy_single_head"
OURS = [[0.9], [0.5, 0.8]]
BEST = [[1.0], [0.95, 0.9]]
last, mean = partial(scalar, "intransigence"), partial(scalar, "intransigence_mean")
IDENTITY = {"data.steps": 10, "network.discriminator.width": 32, "data.draws": 1}


@pytest.fixture
def make_head(make_run: Callable[..., Path]) -> Callable[..., RunRecord]:
    """Return a maker of runs whose own classifier has a result matrix."""

    def make(method: str, matrix: list[list[float]], **fields: Any) -> RunRecord:
        columns = fields.pop("columns", [])
        folder = make_run(method, identity=IDENTITY | fields.pop("identity", {}), **fields)
        record = RunRecord.load(folder)
        record.columns = columns
        for row, values in zip(record.rows, matrix, strict=True):
            row["metrics"] = [{HEAD: value} for value in values]
            row["overall"] = {HEAD: sum(values) / len(values)}
        record.save(folder)
        (folder / "config.yaml").unlink()
        return record

    return make


def test_by_hand() -> None:
    # what joint training has on a task right after it, less ours: 1 - 0.9 and 0.9 - 0.8
    assert intransigence(OURS, BEST) == pytest.approx([0.1, 0.1])
    assert intransigence(BEST, OURS) == pytest.approx([-0.1, -0.1]), "better than joint training"
    assert intransigence([[0.2], [0.0, 0.7], [0.0, 0.0, 0.9]], [[1.0], [1, 1], [1, 1, 1]]) == (
        pytest.approx([0.8, 0.3, 0.1])
    )


def test_the_reference_has_the_same_data_order_network_steps_and_seed(make_head) -> None:
    record = make_head("ewc_s", [[0.9], [0.5, 0.7]])
    best = make_head("joint_classifier", BEST, identity={"data.draws": 5, "method.x": 1})
    others = [
        make_head("joint", BEST),
        make_head("joint_classifier", BEST, seed=1),
        make_head("joint_classifier", BEST, identity={"data.steps": 20}),
        make_head("joint_classifier", BEST, identity={"network.discriminator.width": 64}),
        make_head("joint_classifier", BEST, content={"digest": "other", "classes": {}}),
        make_head("joint_classifier", BEST, tasks=[{"classes": [1]}, {"classes": [0]}]),
    ]
    assert reference_of(record, HEAD, [*others, best]) is best
    assert reference_of(record, HEAD, others) is None
    assert math.isnan(last(record, HEAD, 1, others))
    assert last(record, HEAD, 1, [best]) == pytest.approx(0.2)
    assert mean(record, HEAD, 1, [best]) == pytest.approx(0.15)
    assert mean(record, HEAD, 0, [best]) == pytest.approx(0.1)
    assert math.isnan(last(record, "diversity", 1, [best])), "which has no reference"


def test_a_papers_table_reads_what_the_matrix_tells(make_head) -> None:
    record, best = make_head("ewc_s", OURS), make_head("joint_classifier", BEST)
    outcome = Outcome([record], among=[record, best])

    def value(metric: str, **fields: Any) -> list[float]:
        column = Column("k", "t", "r", metric, **fields)
        reading = read(column, metric, outcome)
        return [*map(float, reading.values)]

    assert value(f"forgetting.{HEAD}") == pytest.approx([40.0])  # 0.9 - 0.5, in percent
    assert value(f"first_task.{HEAD}") == pytest.approx([50.0])
    assert value(f"aiq_mean_of_means.{HEAD}") == pytest.approx([100 * (0.9 + 0.65) / 2])
    assert value(f"first_task.{HEAD}", after_task=1) == pytest.approx([90.0])
    assert value(f"intransigence.{HEAD}") == pytest.approx([10.0])
    column = Column("k", "t", "r", f"intransigence_mean.{HEAD}")
    reading = read(column, column.metric, outcome)
    assert reading.remarks == ["against joint_classifier of the same seeds"]
    alone = read(column, column.metric, Outcome([record], among=[record]))
    assert alone.values == []
    assert alone.remarks == [
        f"intransigence_mean.{HEAD} was not measured; it needs runs of joint_classifier with the "
        "same seeds"
    ]


def test_the_comparison_table_has_them_and_names_the_reference(make_head, tmp_path) -> None:
    make_head("ewc_s", OURS)
    make_head("joint_classifier", BEST, name="the-reference")
    (table,) = comparison_tables(collect(tmp_path / "runs"), ["all"])
    joint, ewc = (number_by_key(table, row) for row in range(2))  # the best first
    assert ewc["forgetting_single_head"] == "40.0"
    assert ewc["single_head_first_task"] == "50.0"
    assert ewc["aiq_single_head"] == "77.5"
    assert ewc["intransigence_single_head"] == ewc["intransigence_mean_single_head"] == "10.0"
    assert joint["intransigence_single_head"] == "0.0"
    assert "forgetting" not in ewc, "which is of generated images"
    assert f"Intransigence of {HEAD}: that of the-reference" in " ".join(table.notes)
    assert "the-reference" in markdown([table])


def number_by_key(table: Table, row: int) -> dict[str, str]:
    return {key: cell.text for key, cell in zip(table.keys, table.rows[row], strict=True)}


def test_a_reference_that_is_still_running_counts_as_far_as_it_has_come(make_head) -> None:
    record = make_head("ewc_s", OURS)
    best = make_head("joint_classifier", BEST)
    best.rows.pop()
    assert last(record, HEAD, 0, [best]) == pytest.approx(0.1)
    assert math.isnan(last(record, HEAD, 1, [best])) and math.isnan(mean(record, HEAD, 1, [best]))
