"""A task's row has one writer: nothing is lost, in whatever order callbacks stand."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace

import pytest

from lgan.callbacks.base import TaskCallback, TaskContext, announce
from lgan.callbacks.evaluation import EvaluateTasks
from lgan.callbacks.parameters import CountParameters
from lgan.callbacks.selection import SelectByValidation
from lgan.errors import ConfigError, RunError
from lgan.metrics.base import Values
from lgan.metrics.diversity import Diversity
from lgan.metrics.paired import PairedDistances

L1 = {"l1": 0.5, "ssim": 0.25}


class Measuring(TaskCallback):
    """A user's own callback that records distances."""

    def on_task_end(self, context: TaskContext) -> None:
        context.record_values(Values([L1, L1], L1), PairedDistances.columns)


def context() -> TaskContext:
    method = SimpleNamespace(
        total_steps=7, has_generator=False, has_classifier=False, device="cpu",
        draws_jointly=False, other_heads={}, classifier_of=lambda _: None,
        eval=lambda: None, parameter_counts=lambda: {"trained": 3},
    )  # fmt: skip
    return TaskContext(method, SimpleNamespace(reading=lambda _: nullcontext()), 1, Path())


def callbacks() -> list[TaskCallback]:
    found = Values([{"diversity": 1.0}, {"diversity": 0.5}], {"diversity": 0.75},
                   {"diversity": {"0": 1.0, "1": 0.5}})  # fmt: skip
    evaluator = SimpleNamespace(
        evaluate=lambda *_: found, columns=list(Diversity.columns), references={"classifier": "c"}
    )
    selecting = SelectByValidation(every=1)
    selecting.best = {"accuracy_single_head": 0.9, "step": 2, "validation_accuracy": 0.8}
    return [EvaluateTasks(evaluator), Measuring(), CountParameters(), selecting]


def test_the_order_of_callbacks_changes_nothing_in_the_row() -> None:
    found = []
    for order in permutations(callbacks()):
        border = context()
        border.record(steps=7)
        announce("on_task_end", order, border)
        assert border.row.pop("evaluation_seconds") >= 0
        found.append({k: v for k, v in border.row.items() if k != "evaluation_seconds"})
        assert {column["key"] for column in border.columns} == {"l1", "ssim", "diversity"}
    assert all(row == found[0] for row in found)
    assert found[0] == {
        "task": 1,
        "steps": 7,
        "metrics": [{"diversity": 1.0, **L1}, {"diversity": 0.5, **L1}],
        "overall": {"diversity": 0.75, **L1, "accuracy_single_head_selected": 0.9},
        "per_class": {"diversity": {"0": 1.0, "1": 0.5}},
        "parameters": {"trained": 3},
        "selected": {"accuracy_single_head": 0.9, "step": 2, "validation_accuracy": 0.8},
    }


def test_nothing_is_written_over() -> None:
    border = context()
    Measuring().on_task_end(border)
    with pytest.raises(ConfigError, match="'l1' is measured twice"):
        Measuring().on_task_end(border)
    border.record(selected={"step": 1})
    for name in ("selected", "metrics", "task"):
        with pytest.raises(RunError, match=f"'{name}' of task 1 is recorded twice"):
            border.record(**{name: 1})
