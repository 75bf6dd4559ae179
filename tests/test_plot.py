"""Figures for notebooks."""

from __future__ import annotations

from pathlib import Path

import pytest
from many_runs import write_runs

import lgan.plot
from lgan.errors import RunError
from lgan.reports.collect import collect
from lgan.reports.frame import tidy


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    write_runs(tmp_path)
    return tmp_path


def test_a_run_draws_its_matrix_curves_and_samples(runs: Path) -> None:
    plot = lgan.load(runs / "run1").plot
    matrix = plot.matrix()
    assert matrix.axes[0].get_ylabel() == "after training task"
    assert [matrix.axes[0].images[0].get_array()[3, 3], matrix.axes[1].get_ylabel()] == [
        1.0, "accuracy_generated",
    ]  # fmt: skip
    worst = plot.matrix("fid_classifier").axes[0].images[0]
    assert worst.cmap(0.0)[0] > 0.9, "a low distance is bright"
    assert len(plot.curves().axes[0].lines) == 4
    for figure in (matrix, plot.curves("fid_classifier"), plot.samples()):
        assert figure._repr_png_().startswith(b"\x89PNG"), "what a notebook shows"
    with pytest.raises(RunError, match="metric=fid was not measured; there are accuracy_generated"):
        plot.matrix("fid")


def test_methods_are_compared_from_a_frame(runs: Path) -> None:
    frame = tidy((r.folder, r.record) for g in collect(runs).groups for r in g.runs)
    figure = lgan.plot.compare(frame)
    lines = figure.axes[0].lines
    assert [line.get_label() for line in lines] == ["method0", "method1", "method2"]
    assert lines[0].get_ydata().tolist() == [1.0] * 4 and lines[2].get_ydata()[3] < 1
    with pytest.raises(RunError, match="metric=l1 is not in the frame"):
        lgan.plot.compare(frame, "l1")
