"""Figures: they decode, and sample grids show every pixel where it belongs."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lgan.errors import RunError
from lgan.results import figures, grids
from lgan.results.collect import Group, Run, collect


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
        figures.task_curves(group, metric),
        figures.matrix_heatmap(group, metric),
        figures.matrix_heatmap(group, "fid_classifier"),
    ]
    for png in pictures:
        pixels = decode(png).astype(int)
        assert np.ptp(pixels, axis=-1).max() > 50


def test_figures_survive_names_with_mathematics_and_missing_metrics(make_run, tmp_path: Path):
    make_run("$x_{", 0)
    group = collect(tmp_path).groups[0]
    decode(figures.mean_curves([group], "accuracy_generated"))
    decode(figures.matrix_heatmap(group, "never_measured"))


def test_sample_grid_puts_every_class_and_task_in_its_place(make_run, write_samples):
    folder = make_run()
    write_samples(folder, tasks=2, size=8)
    pixels = decode(grids.sample_grid(only_run(folder), per_cell=2))
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
    grey = decode(grids.sample_grid(only_run(folder)))[..., 0]
    assert (grey == 200).sum() >= 3 * 48 * 48 / 2
    assert (grey == 100).sum() < 20  # nothing between the two values but the labels' edges


def test_wide_grids_fit_the_page():
    assert grids._fit(columns=5, per_cell=4, height=8, width=8) == (4, 6)
    assert grids._fit(columns=10, per_cell=4, height=32, width=32) == (2, 2)
    assert grids._fit(columns=40, per_cell=4, height=32, width=32) == (1, 1)


def test_large_images_are_reduced(make_run, write_samples):
    folder = make_run()
    write_samples(folder, size=1200)
    assert decode(grids.sample_grid(only_run(folder))).shape[1] < 2 * 1200


def test_no_samples_no_grid_and_damaged_ones_are_named(make_run, write_samples):
    folder = make_run()
    assert grids.sample_grid(only_run(folder)) is None
    write_samples(folder)
    (folder / "samples/task1.pt").write_bytes(b"no tensors")
    with pytest.raises(RunError, match="task1.pt"):
        grids.sample_grid(only_run(folder))
