"""What tables and the report show of translation runs, on records and samples made by hand."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lgan.data.images import to_float
from lgan.errors import RunError
from lgan.files import save_tensors
from lgan.reports import figures, grids
from lgan.reports.collect import Run, collect
from lgan.reports.columns import every_column
from lgan.reports.report import PARAMETERS, over_tasks, render
from lgan.reports.tables import comparison_tables
from lgan.run.record import RunRecord

SIZE = 50  # larger than the smallest image shown, so that nothing is enlarged


def grey(*levels: int) -> torch.Tensor:
    """Return one 3 x SIZE x SIZE picture of each level."""
    return torch.tensor(levels, dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 3, SIZE, SIZE)


def write_translations(folder: Path, paired: bool = True) -> None:
    """Write inputs 10, 11 and 20, 21; targets 110, ...; outputs 200 + 10 task + t after task t."""
    samples = folder / "samples"
    inputs = torch.stack([grey(10, 11), grey(20, 21)])
    save_tensors(samples / "noise.pt", {"noise": to_float(inputs)})
    if paired:
        save_tensors(samples / "targets.pt", {"targets": inputs + 100})
    for t in range(2):
        images = torch.stack(
            [grey(200 + 10 * task + t).repeat(2, 1, 1, 1) for task in range(t + 1)]
        )
        content = {"classes": list(range(t + 1)), "images": images}
        save_tensors(samples / f"task{t}.pt", content)


@pytest.fixture
def make_translation(make_run) -> Callable[..., Path]:
    """Return a maker of run folders of two translation tasks."""

    def make(paired: bool = True, **fields) -> Path:
        folder = make_run(**fields)
        write_translations(folder, paired)
        record = RunRecord.load(folder)
        for row in record.rows:
            t = row["task"]
            for entry in row["metrics"]:
                entry |= {"l1": 0.125, "ssim": 0.5} if paired else {}
            row["overall"] |= {"fid_classifier_pooled": 3.0 + t}
            row["overall"] |= {"l1": 0.1254, "ssim": 0.5} if paired else {}
            row["parameters"] |= {"stored": 1000 + 300 * t, "full": 1000 * (t + 1)}
            row["parameters"]["added"] = 300 if t else 1000
        record.save(folder)
        return folder

    return make


def run_of(folder: Path) -> Run:
    return collect(folder).groups[0].runs[0]


def places(pixels: np.ndarray, level: int) -> tuple[int, int]:
    """Return the first row and column of a picture of one grey level, which must be whole."""
    rows, columns = np.where((pixels == level).all(axis=-1))
    whole = [(r, c) for r, c in zip(rows, columns, strict=True)
             if (pixels[r : r + SIZE, c : c + SIZE] == level).all()]  # fmt: skip
    return whole[0]


def test_inputs_targets_and_outputs_stand_side_by_side(make_translation):
    run = run_of(make_translation())
    pixels = np.asarray(Image.open(io.BytesIO(figures.png(grids.run_figure(run)))).convert("RGB"))
    step = SIZE + grids.GAP
    top, left = places(pixels, 10)
    expected = {
        11: (1, 0), 20: (2, 0), 21: (3, 0),
        110: (0, 1), 111: (1, 1), 120: (2, 1), 121: (3, 1),
        200: (0, 2), 201: (0, 3), 211: (2, 3),
    }  # fmt: skip
    for level, (row, column) in expected.items():
        down = row * SIZE + row // 2 * grids.GAP  # two pictures of a task, then a gap
        assert places(pixels, level) == (top + down, left + column * step), level
    # task 2 was not learnt after task 1: its place is white
    second = top + 2 * SIZE + grids.GAP
    blank = pixels[second : second + 2 * SIZE, left + 2 * step : left + 2 * step + SIZE]
    assert (blank == 255).all()


def test_unpaired_tasks_have_no_column_of_targets(make_translation):
    run = run_of(make_translation(paired=False))
    pixels = np.asarray(Image.open(io.BytesIO(figures.png(grids.run_figure(run)))).convert("RGB"))
    (top, left), step = places(pixels, 10), SIZE + grids.GAP
    assert places(pixels, 200) == (top, left + step)


def test_noise_is_no_picture_and_damaged_files_are_named(make_run, write_samples, make_translation):
    folder = make_run()
    write_samples(folder)
    assert not grids.translates(run_of(folder))
    save_tensors(folder / "samples/noise.pt", {"noise": torch.zeros(2, 4, 16)})
    assert not grids.translates(run_of(folder))
    damaged = make_translation()
    save_tensors(damaged / "samples/targets.pt", {"other": torch.zeros(1)})
    with pytest.raises(RunError, match=r"targets\.pt does not hold a tensor named targets"):
        grids.run_figure(run_of(damaged))


def test_the_report_speaks_of_test_pictures(make_translation, tmp_path: Path):
    make_translation()
    text = render(collect(tmp_path))
    assert "from the same test pictures" in text
    assert "Test pictures, the same in every column" in text
    assert "noise" not in text.partition("<summary>Settings")[0]
    assert "input, target" in text
    for heading in ("added by the task", "T × Full", "stored / (T × Full), %"):
        assert heading in text
    assert "Result matrix of l1" in text and "Result matrix of ssim" in text


def test_parameters_are_compared_with_one_network_per_task(make_translation, plain_record):
    group = collect(make_translation()).groups[0]
    table = over_tasks(group, PARAMETERS)
    assert table.titles == [
        "after task", "trained in the task", "added by the task", "stored for all tasks",
        "T × Full",
        "stored / (T × Full), %", "discriminator", "total",
    ]  # fmt: skip
    assert [[cell.text for cell in row[:6]] for row in table.rows] == [
        ["0", "1,000", "1,000", "1,000", "1,000", "100.0"],
        ["1", "1,000", "300", "1,300", "2,000", "65.0"],
    ]
    group.runs[0] = Run(Path(), plain_record, {})
    assert "T × Full" not in over_tasks(group, PARAMETERS).titles
    for row in plain_record.rows:
        row.pop("parameters")
    assert over_tasks(group, PARAMETERS) is None


def test_tables_have_distances_pooled_fid_and_the_share_of_full(make_translation, plain_record):
    found = collect(make_translation())
    record = found.groups[0].first
    columns = {column.key: column for column in every_column([record])}
    assert columns["pooled_fid_classifier"].read(record) == 4.0
    assert columns["parameters_share"].read(record) == 0.65
    [table] = comparison_tables(found, ["l1", "ssim", "parameters_share"])
    assert [cell.text for cell in table.rows[0][2:]] == ["0.125", "0.500", "65.0"]
    for key in ("l1", "ssim", "parameters_share", "pooled_fid_classifier"):
        assert np.isnan(columns[key].read(plain_record)), key
