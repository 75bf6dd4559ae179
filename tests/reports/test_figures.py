"""Figures: they decode, and sample grids show every pixel where it belongs."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lgan.errors import RunError
from lgan.reports import figures, grids, trade_off_figures
from lgan.reports.collect import Group, Run, collect
from lgan.reports.report import save_figures
from lgan.run.record import RunRecord
from lgan.run.samples import shows_all


def decode(png: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB"))


@pytest.fixture
def group(runs: Path) -> Group:
    return collect(runs).groups[2]


def only_run(folder: Path) -> Run:
    return collect(folder).groups[0].runs[0]


def test_mean_matrix_is_the_mean_over_seeds_and_nan_above(group: Group):
    matrix = figures.mean_matrix(group, "accuracy_generated")
    assert matrix[0, 0] == pytest.approx(0.85)
    assert matrix[1] == pytest.approx([0.55, 0.75])
    assert np.isnan(matrix[0, 1])


def test_line_figures_and_matrices_decode_and_show_colour(group: Group):
    metric = "accuracy_generated"
    pictures = [
        figures.mean_curves([group], metric),
        figures.png(figures.curves_figure(group, metric)),
        figures.png(figures.matrix_figure(group, metric)),
        figures.png(figures.matrix_figure(group, "fid_classifier")),
    ]
    for png in pictures:
        pixels = decode(png).astype(int)
        assert np.ptp(pixels, axis=-1).max() > 50


def test_figures_survive_names_with_mathematics(make_run, tmp_path: Path):
    make_run("$x_{", 0)
    group = collect(tmp_path).groups[0]
    decode(figures.mean_curves([group], "accuracy_generated"))
    decode(figures.png(figures.matrix_figure(group, "accuracy_generated")))


def test_sample_grid_puts_every_class_and_task_in_its_place(make_run, write_samples):
    folder = make_run()
    write_samples(folder, tasks=2, size=8)
    pixels = decode(figures.png(grids.run_figure(only_run(folder), 2)))
    greys = pixels[..., 0][np.ptp(pixels, axis=-1) == 0]
    # 8 pixels enlarged six times: 48 x (2 * 48) per cell, of exactly one grey value each.
    # class 0 is 10 and 11 after tasks 0 and 1, class 1 is 51 after task 1.
    for value in (10, 11, 51):
        assert (greys == value).sum() >= 48 * 96
    rows, columns = np.where(pixels[..., 0] == 51)
    above, beside = np.where(pixels[..., 0] == 11)
    assert rows.min() > above.max() or np.median(rows) > np.median(above)
    assert abs(np.median(columns) - np.median(beside)) < 1


def test_enlargement_keeps_pixels_sharp(make_run, write_samples, tmp_path: Path):
    import torch

    from lgan.files import save_tensors

    folder = make_run()
    checks = torch.tensor([[0, 200], [200, 0]], dtype=torch.uint8).repeat(4, 4)
    for t in range(2):
        images = checks.expand(t + 1, 1, 1, 8, 8).contiguous()
        content = {"classes": list(range(t + 1)), "images": images}
        save_tensors(folder / f"samples/task{t}.pt", content)
    grey = decode(figures.png(grids.run_figure(only_run(folder))))[..., 0]
    assert (grey == 200).sum() >= 3 * 48 * 48 / 2
    assert (grey == 100).sum() < 20  # nothing between the two values but the labels' edges


def test_wide_grids_fit_the_page():
    assert grids._fit(columns=5, per_cell=4, height=8, width=8) == (4, 6)
    assert grids._fit(columns=10, per_cell=4, height=32, width=32) == (2, 2)
    assert grids._fit(columns=40, per_cell=4, height=32, width=32) == (1, 1)


def many(make_run, tasks: int) -> Path:
    """Make a run of many tasks, of which each loses some of its accuracy per task."""
    rows = [
        {"task": t, "metrics": [{"accuracy_generated": 0.9 - (t - j) / 250} for j in range(t + 1)]}
        for t in range(tasks)
    ]
    names = [{"index": t, "classes": [t], "class_names": [f"c{t}"]} for t in range(tasks)]
    folder = make_run("sft", num_tasks=tasks, tasks=names)
    record = RunRecord.load(folder)
    record.rows, record.status = rows, "complete"
    record.save(folder)
    return folder


@pytest.mark.parametrize("tasks", [11, 62, 200])
def test_figures_of_many_tasks_name_no_task_beyond_the_page(make_run, tmp_path, monkeypatch, tasks):
    many(make_run, tasks)
    (group,) = collect(tmp_path).groups
    drawn: list[Figure] = []
    monkeypatch.setattr(figures, "png", lambda figure, note="": drawn.append(figure) or b"")
    figures.png(figures.curves_figure(group, "accuracy_generated"))
    figures.mean_curves([group, group])
    curves, means = drawn
    assert not curves.legends and len(curves.axes) == 2, "a colour bar stands for a legend"
    for figure in drawn:
        ticks = figure.axes[0].get_xticks()
        assert (ticks[0], ticks[-1]) == (0, tasks - 1) and len(ticks) <= 12
        assert min(np.diff(ticks)) * 20 >= tasks, "no two numbers run into each other"
    first, second = (line for line in means.axes[0].lines if line.get_label() == "sft")
    marked = [{*range(tasks)[slice(start, None, step)]} for start, step in
              (line.get_markevery() for line in (first, second))]  # fmt: skip
    assert all(marked) and not marked[0] & marked[1], "one line hides the other"
    names = [text for text in means.axes[0].texts if text.get_text() == "sft"]
    height = 72 * means.get_figheight() * 0.8
    apart = abs(names[0].get_position()[1] - names[1].get_position()[1])
    assert len(names) == 2 and apart * height >= names[0].get_fontsize()


def test_names_that_meet_are_pushed_apart_within_the_panel():
    places = figures._apart(np.array([0.2, 0.2, 0.9, 0.99, 1.2]), np.full(5, 0.1))
    assert places == pytest.approx([0.2, 0.3, 0.75, 0.85, 0.95])


def test_a_grid_of_many_tasks_shows_some_of_them(make_run, tmp_path, write_samples, monkeypatch):
    folder = many(make_run, 70)
    write_samples(folder, tasks=70, size=8)
    for task in range(70):  # only what is shown is read
        if not shows_all(task) and task != 69:
            (folder / f"samples/task{task}.pt").unlink()
    drawn = []
    monkeypatch.setattr(grids, "_draw_grid", lambda *given: drawn.append(given) or b"")
    assert grids.run_figure(only_run(folder)) is not None
    ((canvas, names, heads, _, left_out),) = drawn
    assert heads == [*map(str, range(10)), "14", "21", "32", "48", "69"]
    assert len(canvas) == len(names) == 64 and (names[0], names[-1]) == ("c0", "c69")
    assert left_out == "; 64 of 70 rows"


def test_large_images_are_reduced(make_run, write_samples):
    folder = make_run()
    write_samples(folder, size=1200)
    assert decode(figures.png(grids.run_figure(only_run(folder)))).shape[1] < 2 * 1200


def test_no_samples_no_grid_and_damaged_ones_are_named(make_run, write_samples):
    folder = make_run()
    assert grids.run_figure(only_run(folder)) is None
    write_samples(folder)
    (folder / "samples/task1.pt").write_bytes(b"no tensors")
    with pytest.raises(RunError, match="task1.pt"):
        grids.run_figure(only_run(folder))


def test_figures_say_how_good_the_judge_is_that_they_depend_on(make_run, tmp_path, monkeypatch):
    make_run("sft")
    make_run("dgr", references={"classifier": "cnn-2", "classifier_test_accuracy": 0.237})
    weak, good = collect(tmp_path).groups
    said = []
    monkeypatch.setattr(figures, "noted", lambda figure, note: said.append(note) or figure)
    right = "The evaluation classifier is right on 98.0% of the real test images"
    warned = (
        "WARNING: the evaluation classifier is right on 23.7% of the real test images only: "
        "this means little"
    )
    figures.mean_curves([good])
    figures.curves_figure(weak, "accuracy_generated")
    figures.matrix_figure(good, "accuracy_generated")
    figures.matrix_figure(weak, "fid_classifier")
    trade_off_figures.trade_off([good], {}, 0)
    assert [note for note in said if note] == [right, warned, right, warned, right]
    assert "23.7% to 98.0% of" in figures.judge_note([good, weak], "kid_classifier")
    for other in ("diversity", "fid_inception", "accuracy_single_head", "l1"):
        assert figures.judge_note([weak], other) == ""
    make_run("old", references={"classifier_test_accuracy": None})
    assert figures.judge_note([collect(tmp_path).groups[1]], "accuracy_generated") == ""


def test_a_note_is_drawn_below():
    blank, noted = (Figure((4, 3), layout="constrained") for _ in range(2))
    for figure in (blank, noted):
        figure.add_subplot()
    assert figures.png(blank) != figures.png(noted, "WARNING: " + "a word " * 30)
    assert noted.get_supxlabel().count("\n") >= 3


def test_no_figure_takes_another_ones_file(make_run, tmp_path):
    names = [("x", "y-z"), ("x-y", "z"), ("x", "a/b"), ("x", "a_b"), ("../up", "sft")]
    for data, method in names:
        make_run(method, data=data)
    found = collect(tmp_path / "runs")
    count = save_figures(found, tmp_path / "deep" / "figures")
    assert count == len(list((tmp_path / "deep" / "figures").iterdir()))
    assert len(list(tmp_path.rglob("*.png"))) == count
    assert len(list((tmp_path / "deep/figures").glob("*-matrix*.png"))) == len(names)
