"""Growth, reuse, mask evolution, disk space and drift: numbers by hand, pictures that decode."""

from __future__ import annotations

import copy
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lgan.reports import capacity_figures, drift_figures
from lgan.reports.collect import Collection, Group, Run, collect
from lgan.reports.columns import every_column
from lgan.reports.report import DISK, over_tasks, render, retention_table, save_figures
from lgan.run.record import value_at


@pytest.fixture
def group(masked_record) -> Group:
    records = [masked_record(seed) for seed in (0, 1)]
    return Group("masked", [Run(Path(), record, {}) for record in records])


@pytest.fixture
def plain_group(plain_record) -> Group:
    return Group("plain", [Run(Path(), plain_record, {})])


def decode(png: bytes | None) -> np.ndarray:
    assert png is not None
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB")).astype(int)


def test_paths_into_a_row(masked_record):
    known = masked_record(0).rows[1]
    assert value_at(known, "parameters.masked_weights") == 160
    assert value_at(known, "capacity.*.reserved") == 60
    assert value_at(known, "disk.weights_fp32 + disk.masks_packed_bits") == 640 + 26
    for absent in ("disk.unknown", "nothing.at.all", "disk", "capacity.*.unknown"):
        assert np.isnan(value_at(known, absent))
    assert np.isnan(value_at({"capacity": {}}, "capacity.*.reserved"))


def test_series_is_the_mean_over_seeds(group: Group, plain_group: Group):
    assert capacity_figures.series(group, "parameters.masked_weights") == pytest.approx([100, 170])
    assert np.isnan(capacity_figures.series(plain_group, "parameters.masked_weights")).all()


def test_shares_by_hand(group: Group):
    layers = capacity_figures.capacity(group)
    assert list(layers) == ["fc", "block.0"]
    assert layers["block.0"]["reserved"] == pytest.approx([10, 10])
    reused, newly, reserved = capacity_figures.shares(layers)
    # task 2: 10 reused and 30 new in a mask of 40; 60 of 160 elements are reserved
    assert reused == pytest.approx([0.0, 0.25])
    assert newly == pytest.approx([1.0, 0.75])
    assert reserved == pytest.approx([0.3, 0.375])


def test_a_mask_without_ones_has_no_shares():
    nothing = {"newly": [0.0], "reused": [0.0], "reserved": [5.0], "trained_size": [10.0]}
    layers = {"fc": {name: np.array(values) for name, values in nothing.items()}}
    reused, newly, reserved = capacity_figures.shares(layers)
    assert np.isnan(reused).all()
    assert np.isnan(newly).all()
    assert reserved == pytest.approx([0.5])


def test_drifts_are_the_largest_and_the_mean_over_old_tasks(group: Group, plain_group: Group):
    largest = drift_figures.drifts(group)
    assert np.isnan(largest[0])
    assert largest[1] == 0.5
    assert drift_figures.drifts(group, "mean_drift")[1] == 0.25
    group.runs[1].record.rows[1]["retention"][0] |= {"max_drift": 0.75, "mean_drift": 0.75}
    assert drift_figures.drifts(group)[1] == 0.75
    assert drift_figures.drifts(group, "mean_drift")[1] == 0.5
    del plain_group.first.rows[1]["retention"]
    assert np.isnan(drift_figures.drifts(plain_group)).all()
    assert drift_figures.drift_curves([plain_group]) is None


def test_pictures_decode_and_show_colour(group: Group, plain_group: Group):
    pictures = [
        capacity_figures.growth_curve([group, plain_group], constants={"$other": 525}, log=True),
        capacity_figures.reuse_shares([group, plain_group]),
        capacity_figures.mask_evolution([group, group], task=1),
        capacity_figures.value_curves([group], "overall.diversity", "diversity", percent=True),
        drift_figures.drift_curves([group]),
    ]
    for png in pictures:
        assert np.ptp(decode(png), axis=-1).max() > 50


def test_nothing_is_drawn_of_runs_without_masks(plain_group: Group):
    assert capacity_figures.growth_curve([plain_group]) is None
    assert capacity_figures.reuse_shares([plain_group]) is None
    assert capacity_figures.mask_evolution([plain_group]) is None
    assert capacity_figures.value_curves([plain_group], "disk.weights_fp32", "bytes") is None
    html = render(Collection([plain_group], []))
    assert "Maskable weights" not in html and "Mask values" not in html and "Reuse" not in html
    assert over_tasks(plain_group, DISK) is None


def test_a_course_of_one_epoch_and_a_task_that_is_not_there(group: Group):
    course = group.first.rows[0]["mask_evolution"]
    for name in ("epochs", "fractions", "nonzero"):
        course[name] = course[name][:1]
    decode(capacity_figures.mask_evolution([group], task=0))
    assert capacity_figures.mask_evolution([group], task=5) is None


def test_the_reports_sentences_are_by_hand(group: Group):
    html = render(Collection([group], []))
    assert "100 for task 0, 170 for task 1" in html
    assert "25 % had been reserved before; 38 % of all elements" in html
    assert "task 0; 25 % end" in html
    assert "epochs of task 1" in html


def test_disk_space_names_its_formats(group: Group):
    table = over_tasks(group, DISK)
    assert table is not None
    assert table.titles == [
        "after task",
        "weights, fp32, bytes",
        "all tasks' masks, packed bits, bytes",
    ]
    assert [[cell.text for cell in line] for line in table.rows] == [
        ["0", "400", "13"],
        ["1", "680", "26"],
    ]


def test_retention_tells_exact_from_drifting(group: Group, plain_group: Group):
    silent = Group("silent", [Run(Path(), copy.deepcopy(plain_group.first), {})])
    for record in group.records:
        record.rows[1]["retention"][0] |= {"exact": True, "max_drift": 0.0, "mean_drift": 0.0}
    for known in silent.first.rows:
        known["retention"] = None
    table = retention_table([group, plain_group, silent])
    assert table is not None
    assert [[cell.text for cell in line] for line in table.rows] == [
        ["masked", "yes", "0", "0", "0"],
        ["plain", "no", "0.5", "0.5", "0.25"],
        ["silent", "–", "–", "–", "–"],
    ]
    assert retention_table([silent]) is None


def test_the_report_has_the_parts_only_for_runs_that_have_them(
    make_run, masked_record, tmp_path: Path
):
    make_run("plain", 0)
    assert "Disk space" not in render(collect(tmp_path))
    masked_record(0).save(make_run("masked", 0))
    found = collect(tmp_path)
    text = render(found)
    assert text.count("<summary>Disk space</summary>") == 1
    assert text.count("<h3>Retention</h3>") == 1
    assert "Maskable weights of masked: 100 for task 0, 160 for task 1" in text
    assert '<td class="number" data-value="160.0">160</td>' in text
    assert save_figures(found, tmp_path / "figures") == 1 + 1 + 2 + 3
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"digits-drift.png", "digits-masked-growth.png", "digits-masked-masks.png"} <= names
    assert "digits-plain-growth.png" not in names


def test_columns_of_bytes_and_masked_weights(group: Group, plain_group: Group):
    columns = {column.key: column for column in every_column(group.records)}
    record = group.first
    assert columns["masked_weights"].read(record) == 160
    assert columns["disk_weights_fp32"].read(record) == 640
    assert columns["disk_masks_packed_bits"].title == "disk: all tasks' masks, packed bits, bytes"
    assert np.isnan(columns["disk_masks_coo_int64"].read(record))
    assert np.isnan(columns["disk_weights_fp32"].read(plain_group.first))
