"""The metric of CONTRIBUTING.md, from a folder of its own: in results.json and in tables."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module

from lgan.results.collect import collect
from lgan.results.tables import comparison_tables
from lgan.run.record import RunRecord
from lgan.training.train import train

SHORT = ["data.num_tasks=2", "training.steps=2", "trainer=cpu", "evaluation=fast",
         "evaluation.samples_per_class=4", "evaluation.classifier_training.steps=2",
         "callbacks.samples=null", "callbacks.progress=null", "threads=1"]  # fmt: skip


def examples(title: str) -> dict[str, str]:
    """Return the files that a section of CONTRIBUTING.md shows, path to text."""
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    section = re.split(r"^## ", text.partition(f"## {title}\n")[2], flags=re.M)[0]
    return dict(re.findall(r"^`([\w/]+\.\w+)`\n\n```\w+\n(.*?)```", section, flags=re.M | re.S))


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in examples("A metric").items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_metric_is_measured_and_has_its_column(own_folder: Path) -> None:
    places = [f"run_dir={own_folder}/runs/one", f"paths.cache={own_folder}/cache"]
    search = f"hydra.searchpath=[file://{own_folder}/my_conf]"
    with initialize_config_module("lgan.conf", version_base="1.3"):
        config = compose(
            "train", [search, "+metric=contrast", "trust=[my_package]", *SHORT, *places]
        )
    record = RunRecord.load(train(config))
    per_class = record.rows[1]["per_class"]["contrast"]
    assert record.overall("contrast") == pytest.approx(sum(per_class.values()) / 4)
    assert 0 < record.rows[1]["metrics"][0]["contrast"] <= 255

    for name in [name for name in sys.modules if name.startswith("my_package")]:
        del sys.modules[name]
    (own_folder / "my_package/contrast.py").unlink()  # tables need no code of the metric
    [table] = comparison_tables(collect(own_folder / "runs"))
    place = table.keys.index("contrast")
    assert table.titles[place] == "contrast of generated images"
    assert table.rows[0][place].text == f"{record.overall('contrast'):.1f}"
    names = [column["key"] for column in record.columns]
    assert names[-1] == "contrast" and "afq_{name}" in names


def test_the_example_is_short() -> None:
    assert set(examples("A metric")) == {"my_package/contrast.py", "my_conf/metric/contrast.yaml"}
