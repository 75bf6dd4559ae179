"""The papers' tables that are committed in experiments/: what all of them keep to."""

from pathlib import Path

import pytest

from lgan.reports.paper_file import PaperTable

FOLDER = Path(__file__).resolve().parents[2] / "experiments"
TABLES = sorted(
    path
    for paper in ("mergan", "dgm", "piggyback")
    for path in (FOLDER / paper).glob("*.yaml")
    if path.stem.startswith(("table", "figure"))
)


@pytest.fixture(params=TABLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def table(request: pytest.FixtureRequest) -> PaperTable:
    return PaperTable.load(request.param)


def test_what_stands_in_has_no_number_of_the_paper_beside_it(table: PaperTable):
    parts: dict[str, set[str]] = {}
    for column in table.columns:
        parts.setdefault(column.run, set()).add(column.part)
        if column.part.startswith("Our stand-in: "):
            assert not any(table.number(column, method).present for method in table.methods)
    for run, named in parts.items():
        assert len({part.startswith("Our stand-in: ") for part in named}) == 1, run


def test_nothing_is_left_out_but_what_has_no_data(table: PaperTable):
    assert [entry.not_run for entry in table.methods.values() if entry.not_run] == []
    for budget in table.budgets:
        said = table.leave_out.get(budget, {}).values()
        assert all("data cannot be had" in reason for reason in said)
