"""The records in experiments/records: whole, and still of the runs that tables ask for."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.keep_records import keep
from lgan.launch.compose import compose_run
from lgan.launch.paper_cells import make_plan
from lgan.run.folder import RunFolder
from lgan.run.record import RunRecord

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
RECORDS = sorted(path.parent for path in EXPERIMENTS.glob("records/*/*/results.json"))
MERGAN_DGM = ("mergan/table1.yaml", "dgm/table1.yaml")
TABLES = {
    "mnist-cpu": (MERGAN_DGM, ("mnist",), 3),
    "board-digits-cpu": (("board/digits.yaml",), ("",), 5),
    "board-photos-cpu": (("board/photos.yaml",), ("",), 3),
}
"""Of each folder of records the tables that are made of it, how the runs of these begin, and the
number of seeds; other folders hold what else was measured."""
FOLDERS = {
    "stand-ins-cpu": (
        (*MERGAN_DGM, "dgm/table2.yaml"),
        ("fashion_mnist", "chars74k-digits32", "cifar10-jpg", "tiny-imagenet-10"),
        3,
    ),
    "piggyback-cpu": (
        (*(f"piggyback/table{n}.yaml" for n in (1, 2, 3, 4)), "piggyback/figure2.yaml"),
        ("photos", "facades_maps_"),
        3,
    ),
}
"""The same of data in folders, which are not at hand here. What is in them is in a run's digest."""


@pytest.mark.parametrize("folder", RECORDS, ids=lambda path: path.name)
def test_a_record_is_complete_and_of_its_config(folder: Path) -> None:
    record = RunRecord.load(folder)
    assert record.complete
    record.check_config(RunFolder(folder).load_config(), folder / "config.yaml")
    assert str(Path.home()) not in (folder / "config.yaml").read_text()
    assert "/" not in (record.content.get("root") or "")


@pytest.mark.parametrize("name", TABLES)
def test_tables_find_the_records(name: str) -> None:
    assert found(name) == asked(*TABLES[name])


@pytest.mark.parametrize("name", FOLDERS)
def test_tables_of_folders_find_as_many_records_of_each_method_and_seed(name: str) -> None:
    assert without_digests(found(name)) == without_digests(asked(*FOLDERS[name]))


def found(name: str) -> set[str]:
    return {path.name for path in RECORDS if path.parent.name == name}


def asked(tables: tuple[str, ...], begins: tuple[str, ...], seeds: int) -> set[str]:
    names = set()
    for table in tables:
        plan = make_plan(
            table=str(EXPERIMENTS / table), budget="cpu", data_root=None, only=None, methods=None,
            seeds=list(range(seeds)), runs="outputs", overrides=[], dry_run=True,
        )  # fmt: skip
        cells = (cell for cell in plan.cells if cell.startswith(begins))
        names |= {compose_run(plan.overrides(cell)).run_name for cell in cells}
    return names


def without_digests(names: set[str]) -> Counter[str]:
    return Counter(name.rpartition("-")[0] for name in names)


def test_only_complete_runs_are_kept_and_without_the_machines_folders(tmp_path: Path) -> None:
    row, root = {"task": 0, "metrics": [{}]}, str(tmp_path / "mine")
    content = {"digest": "d", "by": "content", "root": root, "classes": {}, "init_from": []}
    for name, rows, status in (("done", [row], "complete"), ("begun", [], "running")):
        record = RunRecord("digits", "sft", 0, 1, content=content, rows=rows, status=status)
        record.save(tmp_path / "runs" / name)
        (tmp_path / "runs" / name / "config.yaml").write_text(f"cache: {Path.home()}/cache\n")
    assert [path.name for path in keep(tmp_path / "runs", tmp_path / "kept")] == ["done"]
    assert (tmp_path / "kept/done/config.yaml").read_text() == "cache: ~/cache\n"
    kept = RunRecord.load(tmp_path / "kept/done")
    assert kept.complete and kept.content == content | {"root": "mine"}
    assert keep(tmp_path / "runs", tmp_path / "kept") == []
