"""The metric of CONTRIBUTING.md, from a folder of its own: in results.json and in tables."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from contributing import examples, own_folder

from lgan.reports.collect import collect
from lgan.reports.tables import comparison_tables
from lgan.run.record import RunRecord
from lgan.training.train import train


@pytest.fixture
def composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    yield from own_folder(examples("A metric"), tmp_path, monkeypatch)


@pytest.mark.slow
def test_the_metric_is_measured_and_has_its_column(composed, tmp_path: Path) -> None:
    config = composed("+metric=contrast", "callbacks.samples=null")
    record = RunRecord.load(train(config))
    per_class = record.rows[1]["per_class"]["contrast"]
    assert record.overall("contrast") == pytest.approx(sum(per_class.values()) / 4)
    assert 0 < record.rows[1]["metrics"][0]["contrast"] <= 255

    for name in [name for name in sys.modules if name.startswith("my_package")]:
        del sys.modules[name]
    (tmp_path / "my_package/contrast.py").unlink()  # tables need no code of the metric
    [table] = comparison_tables(collect(tmp_path / "runs"))
    place = table.keys.index("contrast")
    assert table.titles[place] == "contrast of generated images"
    assert table.rows[0][place].text == f"{record.overall('contrast'):.1f}"
    names = [column["key"] for column in record.columns]
    assert names[-1] == "contrast" and "afq_{name}" in names


def test_the_example_is_short() -> None:
    assert set(examples("A metric")) == {"my_package/contrast.py", "my_conf/metric/contrast.yaml"}
