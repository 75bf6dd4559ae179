"""Boards: intervals, differences run by run, ranks and spreads by hand, and the layout."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.figure import Figure
from PIL import Image, ImageColor

from lgan.errors import ConfigError
from lgan.reports import board_figures
from lgan.reports.board_figures import cost_axis, quality_against
from lgan.reports.collect import Group, Run
from lgan.reports.figures import COLOURS
from lgan.reports.paper import Outcome, Plan
from lgan.reports.paper_file import PaperTable
from lgan.reports.paper_render import publish
from lgan.reports.spreads import interval, mean_ranks, spread
from lgan.run.record import RunRecord

NAN = math.nan


def test_an_interval_is_students() -> None:
    # t of 2 degrees of freedom at 0.975 is 4.3027; sd 1, three values
    assert interval([1.0, 2.0, 3.0, NAN]) == pytest.approx((2.0, 4.302653 / math.sqrt(3)))
    assert interval([5.0]) == pytest.approx((5.0, NAN), nan_ok=True)
    assert math.isnan(interval([])[0])


def test_differences_are_of_the_same_order_and_seed() -> None:
    ours = {("a", 0): 10.0, ("a", 1): 20.0, ("b", 0): 31.0, ("b", 9): 1000.0}
    theirs = {("a", 0): 9.0, ("a", 1): 18.0, ("b", 0): 28.0, ("c", 0): -1000.0}
    values = pd.DataFrame({"ours": ours, "theirs": theirs})
    mean, half = interval(values.ours - values.theirs)
    assert (mean, half) == pytest.approx((2.0, 4.302653 / math.sqrt(3)))
    assert mean < half, "though every run is better: three differences say little"


def ranks(values: dict, better: str) -> dict:
    return dict(mean_ranks(pd.DataFrame(values), better))


def test_ranks_share_ties_and_need_all_methods() -> None:
    first, second, third = ("a", 0), ("a", 1), ("b", 0)
    values = {
        "best": {first: 3.0, second: 5.0},
        "tied": {first: 2.0, second: 5.0, third: 9.0},
        "also": {first: 2.0, second: NAN, third: 9.0},
    }
    assert ranks(values, "higher") == {"best": 1.0, "tied": 2.5, "also": 2.5}
    assert ranks(values, "lower") == {"best": 3.0, "tied": 1.5, "also": 1.5}
    del values["also"]
    assert ranks(values, "higher") == {"best": 1.25, "tied": 1.75}
    values["absent"] = {first: NAN}
    assert ranks(values, "lower") == pytest.approx(
        {"best": 1.75, "tied": 1.25, "absent": NAN}, nan_ok=True
    )
    nothing = ranks({"one": {first: 1.0}, "other": {second: 1.0}}, "higher")
    assert all(map(math.isnan, nothing.values()))


def test_orders_spread_beside_seeds() -> None:
    values = {("a", 0): 1.0, ("a", 1): 3.0, ("b", 0): 7.0, ("b", 1): 7.0}
    # The variances within orders are 2 and 0, the means 2 and 7.
    expected = [1.0, math.sqrt(12.5), 1 / math.sqrt(2)]
    assert list(spread(pd.Series(values))) == pytest.approx(expected)
    few = spread(pd.Series({("a", 0): 1.0, ("b", 0): 3.0}))
    assert math.isnan(few[0]) and few[1] == pytest.approx(math.sqrt(2))
    nothing = spread(pd.Series({("a", 0): NAN}))
    assert all(map(math.isnan, nothing))


@pytest.fixture
def board_file(tmp_path: Path) -> Path:
    content = {
        "title": "Board",
        "runs": {"natural": ["data=digits"], "other": ["data=digits"]},
        "methods": {"joint": ["method=joint"], "sft": ["method=sft"], "dgr": ["method=dgr"]},
        "board": [{
            "title": "All",
            "methods": ["joint", "sft", "dgr"],
            "columns": ["accuracy_generated", "accuracy_reverse", "parameters_stored"],
            "compare": ["accuracy_generated"],
            "against": ["sft"],
        }],
        "figure": {
            "stored": {
                "_target_": "lgan.reports.board_figures.quality_against",
                "cost": "parameters_stored",
                "quality": "accuracy_generated",
            }
        },
        "budgets": {"smoke": {"note": "means nothing"}},
    }  # fmt: skip
    path = tmp_path / "board.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def cells(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def made(record: RunRecord, method: str, values: tuple[float, ...]) -> list[RunRecord]:
    found = []
    for seed, value in enumerate(values):
        one = copy.deepcopy(record)
        one.method, one.seed = method, seed
        one.rows[-1]["overall"]["accuracy_generated"] = value
        found.append(one)
    return found


def test_layout(board_file: Path, tmp_path: Path, plain_record: RunRecord) -> None:
    table = PaperTable.load(board_file)
    plan = Plan(table, "board", "smoke", ["joint", "sft", "dgr"], [0, 1], tmp_path)
    outcomes = {(order, "dgr"): Outcome(problem="failed: why") for order in table.runs}
    accuracies = {
        ("natural", "joint"): (0.90, 0.92),
        ("other", "joint"): (0.90, 0.92),
        ("natural", "sft"): (0.3, 0.3),
        ("other", "sft"): (0.4, 0.4),
    }
    for (order, method), values in accuracies.items():
        outcomes[order, method] = Outcome(made(plain_record, method, values))
    said: list[str] = []
    text = publish(plan, outcomes, [], said.append)
    means, differences, spreads = (cells(text)[start : start + 4] for start in (0, 4, 8))
    assert means[0][:4] == ["method", "declares", "runs", r"accuracy\_generated, all classes, % ↑"]
    assert [row[0] for row in means[1:]] == ["joint", "sft", "dgr"]
    # sd of the four 0.011547, t of 3 degrees of freedom 3.18245
    assert [row[2:4] for row in means[1:]] == [["4", "91.0 ± 1.8"], ["4", "35.0 ± 9.2"], ["0", "–"]]
    assert r"Not measured: accuracy\_reverse." in text
    assert differences[0] == ["method", r"accuracy\_generated less sft's", "mean rank"]
    # differences 60, 62, 50, 52: mean 56, sd 5.888
    assert differences[1:] == [
        ["joint", "**+56.0 ± 9.4**", "1.0"],
        ["sft", "–", "2.0"],
        ["dgr", "–", "–"],
    ]
    assert spreads[1][1:] == ["1.4", "0.0", "1.0"] and spreads[2][1:] == ["0.0", "7.1", "0.0"]
    assert "Class order natural: " in text and "natural, dgr: failed: why" in text
    assert "](board-stored.png)" in text
    picture = np.asarray(Image.open(tmp_path / "board-stored.png").convert("RGB"))[:, :500]
    for colour in COLOURS[:2]:  # of both methods with runs, inside of the axes
        assert (picture == ImageColor.getrgb(colour)).all(axis=2).sum() > 30, colour


def test_a_part_none_of_whose_methods_was_asked_for_is_left_out(
    board_file: Path, tmp_path: Path
) -> None:
    """And with `only` the figures are of the class orders that are left."""
    content = yaml.safe_load(board_file.read_text())
    (part,) = content["board"]
    content["board"] = [part | {"title": "Some"}, part | {"title": "Other", "methods": ["dgr"]}]
    board_file.write_text(yaml.safe_dump(content))
    table = PaperTable.load(board_file).restricted(["other"])
    assert [*table.runs] == ["other"] and [*table.figures] == ["stored"]
    outcomes = {("other", "sft"): Outcome(problem="failed: why")}
    text = publish(Plan(table, "board", "smoke", ["sft"], [0], tmp_path), outcomes, [], print)
    assert "## Some" in text and "## Other" not in text


def test_a_board_names_methods_of_its_own(board_file: Path) -> None:
    text = board_file.read_text().replace("- sft\n", "- sfd\n")
    board_file.write_text(text)
    with pytest.raises(ConfigError, match=r"board=sfd is none of dgr, joint, sft"):
        PaperTable.load(board_file)


@pytest.mark.parametrize("path", sorted(Path("experiments/board").glob("*.yaml")), ids=str)
def test_committed_boards_are_read(path: Path) -> None:
    table = PaperTable.load(path)
    assert table.board and {"smoke", "cpu"} <= set(table.budgets)
    shown = [name for part in table.board for name in part.methods]
    assert sorted(shown) == sorted(table.methods), "each method stands in one part"


@pytest.mark.parametrize(
    ("costs", "scale", "named"),
    [
        ((40, 70), "linear", ["40", "45", "50", "55", "60", "65", "70"]),
        ((2e6, 7e6), "linear", ["2M", "3M", "4M", "5M", "6M", "7M"]),
        ((1e5, 5e6), "log", ["100k", "200k", "500k", "1M", "2M", "5M"]),
        ((1e5, 3e8), "log", ["100k", "1M", "10M", "100M"]),
    ],
)
def test_a_board_axis_of_far_costs_names_few_round_numbers(costs, scale, named) -> None:
    figure = Figure()
    axes = figure.add_subplot()
    axes.plot(costs, (1, 2), "o")
    cost_axis(axes, costs)
    figure.canvas.draw()
    assert axes.get_xscale() == scale
    low, high = axes.get_xlim()
    ticks = zip(axes.xaxis.get_majorticklocs(), axes.xaxis.get_majorticklabels(), strict=True)
    assert [text.get_text() for at, text in ticks if low <= at <= high] == named
    assert not axes.xaxis.get_offset_text().get_text()


@pytest.mark.parametrize(("costs", "said"), [((9, 9, 20), True), ((9, 10, 20), False)])
def test_a_board_figure_says_that_marks_of_equal_cost_stand_side_by_side(
    costs, said, plain_record: RunRecord, monkeypatch
) -> None:
    groups, notes = [], []
    for place, cost in enumerate(costs):
        (record,) = made(plain_record, str(place), (0.5,))
        record.rows[-1]["train_seconds"] = cost - sum(
            row["train_seconds"] for row in record.rows[:-1]
        )
        groups.append(Group(str(place), [Run(Path(), record, {})]))
    monkeypatch.setattr(board_figures, "png", lambda _, note: notes.append(note) or b"")
    quality_against(groups, "train_seconds", "accuracy_generated")
    assert [("side by side" in note) for note in notes] == [said]
