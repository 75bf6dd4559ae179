"""A table's further forms: metrics by method, lost cells, what is not run, paths, figures."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf
from paper_table import build_table
from PIL import Image

from lgan.cli.paper import commands
from lgan.errors import ConfigError
from lgan.launch.compose import compose_run
from lgan.launch.paper_cells import plan_of
from lgan.reports.paper_file import PaperTable

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments" / "dgm"
TABLES = ["table1", "table2", "table3", "table4", "figure2", "figure3", "figure6"]
FIGURE = {"_target_": "lgan.reports.capacity_figures.growth_curve"}


def write_table(folder: Path, **changes) -> Path:
    paper = {
        "source": "A paper",
        "values": {"acc": {"new": 70.0, "gan": 60.0, "old": 50.0}, "size": {"new": "lost"}},
        "metrics": {"acc": {"gan": "accuracy_generated", "new": "accuracy_reverse"}},
        "notes": {"size": {"new": "about 5"}},
    }
    (folder / "paper.yaml").write_text(yaml.safe_dump({"t": paper}))
    budgets = {"smoke": {"note": "nothing"}, "cpu": {"note": "little"}}
    (folder / "budgets.yaml").write_text(yaml.safe_dump({"b": budgets}))
    gan = {"title": "A GAN", "overrides": ["method=joint"], "metric": "accuracy_generated",
           "also": ["diversity", "accuracy_single_head"], "runs": ["digits"]}  # fmt: skip
    content = {
        "title": "Table",
        "numbers": "paper.yaml#t",
        "runs": {"digits": ["data=digits"]},
        "methods": {"new": ["method=sft"], "gan": gan, "old": {"not_run": "it is old"}},
        "columns": [
            {"key": "acc", "title": "Acc", "run": "digits", "metric": "accuracy_single_head"},
            {"key": "size", "title": "kB", "run": "digits", "metric": "disk.weights_fp32",
             "scale": 0.001, "digits": 3, "after_task": 1},
            {"key": "sum", "title": "Sum", "run": "digits", "only": ["new"], "digits": 0,
             "metric": "disk.weights_fp32 + disk.masks_packed_bits"},
        ],
        "budgets": "budgets.yaml#b",
        "leave_out": {"cpu": {"digits": "too large"}},
    }  # fmt: skip
    path = folder / "table.yaml"
    path.write_text(yaml.safe_dump(content | changes, sort_keys=False))
    return path


@pytest.fixture
def ask(tmp_path: Path):
    def make(path: Path, **changes) -> DictConfig:
        content = {
            "table": str(path), "budget": "smoke", "data_root": None, "only": None, "methods": None,
            "seeds": [0, 1], "runs": str(tmp_path / "out"), "overrides": [], "dry_run": False,
        } | changes  # fmt: skip
        return OmegaConf.create(content)

    return make


@pytest.fixture
def train(make_run, masked_record):
    """Return a stand-in for training: masked records with an accuracy on real test images."""

    def make(config: DictConfig) -> Path:
        folder = make_run(config.method.name, config.seed)
        record = masked_record(config.seed)
        record.rows[1]["overall"]["accuracy_single_head"] = 0.5 + 0.1 * config.seed
        record.save(folder)
        return folder

    return make


def cells_of(text: str) -> dict[tuple[str, str], list[str]]:
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ") and "ours - paper" not in line
    ]
    return {(line[0], line[1]): line[2:] for line in cells}


def test_each_method_is_read_in_its_metric_and_compared_in_no_other(tmp_path, ask, train):
    rows = cells_of(build_table(ask(write_table(tmp_path)), train))
    # accuracy_generated of seeds 0 and 1 after task 2: 65 and 65, the paper's metric: 65 - 60
    metric, ours, seeds, paper, difference, remark = rows["Acc", "A GAN"]
    assert (metric, ours, seeds) == (r"accuracy\_generated", "65.00 ± 0.00", "2")
    assert (paper, difference) == ("60.00", "+5.00")
    # diversity is no accuracy: no percent
    assert remark == r"diversity 0.90 ± 0.00; accuracy\_single\_head 55.00 ± 7.07"
    # the paper's number is of another metric than the column's: no difference
    metric, ours, _, paper, difference, remark = rows["Acc", "new"]
    assert (metric, ours) == (r"accuracy\_single\_head", "55.00 ± 7.07")
    assert (paper, difference) == ("70.00", "–")
    assert remark == r"the paper's number is accuracy\_reverse"


def test_lost_cells_paths_scales_and_rows_that_are_not_run(tmp_path, ask, train):
    rows = cells_of(build_table(ask(write_table(tmp_path)), train))
    # 400 bytes after task 1 with both seeds
    assert rows["kB", "new"][1:] == ["0.400 ± 0.000", "2", "lost", "–", "about 5"]
    # after task 2: 640 + 26 and 720 + 26; mean 706, sd 80 / sqrt(2)
    assert rows["Sum", "new"][1] == f"706 ± {80 / math.sqrt(2):.0f}"
    assert ("Sum", "A GAN") not in rows
    assert rows["Acc", "old"] == ["–", "–", "0", "50.00", "–", "not run here: it is old"]


def test_a_budget_may_leave_data_out(tmp_path, ask):
    def train(config: DictConfig) -> Path:
        pytest.fail("nothing is to be trained")

    rows = cells_of(build_table(ask(write_table(tmp_path), budget="cpu"), train))
    assert rows["Acc", "new"][-1].startswith("not run here: too large")
    assert commands(plan_of(ask(write_table(tmp_path), budget="cpu"))) == []


def test_a_table_may_be_read_from_some_of_its_runs(tmp_path, ask):
    more = {"runs": {"digits": ["data=digits"], "other": ["data=mnist"]},
            "figure": {"a": FIGURE, "b": FIGURE | {"run": "other"}}}  # fmt: skip
    path = write_table(tmp_path, **more)
    plan = plan_of(ask(path, only=["digits"], seeds=[0]))
    assert list(plan.cells) == ["digits/new/0", "digits/gan/0"]
    assert list(plan.table.figures) == ["a"]
    plan = plan_of(ask(path, only=["other"], seeds=[0]))
    assert (list(plan.cells), plan.table.columns) == (["other/new/0"], [])
    assert list(plan.table.figures) == ["b"]
    with pytest.raises(ConfigError, match=r"only=mnist is none of digits, other"):
        plan_of(ask(path, only=["mnist"]))


def test_figures_stand_beside_the_table(tmp_path, ask, train, capsys):
    text = build_table(ask(write_table(tmp_path, figure=FIGURE)), train)
    assert "![table.png](table.png)" in text
    assert Image.open(io.BytesIO((tmp_path / "out/table.png").read_bytes())).format == "PNG"
    assert f"written: {tmp_path / 'out/table.png'}" in capsys.readouterr().err
    curves = "lgan.reports.capacity_figures.value_curves"
    absent = {"_target_": curves, "path": "never.measured", "label": "nothing"}
    named = {"a": FIGURE | {"methods": ["gan"]}, "b": absent}
    text = build_table(ask(write_table(tmp_path, figure=named)), train)
    assert "![table-a.png](table-a.png)" in text
    assert "table-b.png" not in text
    assert "not drawn: table-b.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        ({"path": "x"}, "figure should be a mapping with _target_"),
        (FIGURE | {"run": "nothing"}, "figure=nothing is none of"),
        (FIGURE | {"methods": ["nobody"]}, "figure=nobody is none of"),
        ({"_target_": "lgan.reports.capacity_figures.no_such"}, "cannot be drawn"),
        (FIGURE | {"colour": 3}, "cannot be drawn"),
    ],
)
def test_a_figure_that_does_not_fit_is_named(figure, said, tmp_path, ask, train):
    with pytest.raises(ConfigError, match=said):
        build_table(ask(write_table(tmp_path, figure=figure), seeds=[0]), train)


def test_a_methods_unknown_key_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"methods\.new\.metrics: .*not_run"):
        PaperTable.load(write_table(tmp_path, methods={"new": {"metrics": "x"}}))


# ------------------------------------------------------------------------------- DGM's own tables


@pytest.fixture(scope="module")
def dgm() -> dict[str, PaperTable]:
    return {name: PaperTable.load(EXPERIMENTS / f"{name}.yaml") for name in TABLES}


def test_numbers_belong_to_methods_and_columns_of_the_tables(dgm: dict[str, PaperTable]):
    for name, table in dgm.items():
        keys = {column.paper or column.key for column in table.columns}
        for cells in (table.numbers, table.metrics, table.notes):
            assert set(cells) <= keys, name
        if not name.startswith("figure"):
            for cells in table.numbers.values():
                assert set(cells) <= set(table.methods), name


def test_table_1_never_compares_across_the_two_metrics(dgm: dict[str, PaperTable]):
    table = dgm["table1"]
    assert table.numbers["mnist_10"]["dgm_w"] == 96.46
    digits = [column for column in table.columns if column.run in ("mnist", "svhn")
              and column.part == "The paper's data"]  # fmt: skip
    assert len(digits) == 4
    for column in digits:
        for method in table.methods:
            paper = table.number(column, method)
            if paper.value is None:
                continue
            assert paper.metric is not None, (column.key, method)
            judged = method in ("joint", "joint_classifier", "ewc_gan", "dgr", "mergan_jtr",
                                "mergan_ra")  # fmt: skip
            if (column.key, method) not in {
                ("mnist_10", "joint"),
                ("mnist_10", "joint_classifier"),
            }:
                expected = "accuracy_generated" if judged else "accuracy_single_head"
                if method.endswith("_s"):
                    expected = "a classifier's, 5 tasks of 2 digits, stored real samples"
                assert paper.metric == expected
    assert table.methods["mergan_ra"].metric == "accuracy_generated"
    assert table.methods["dgm_w"].metric is None


def test_totals_of_table_4_are_sums_of_the_papers_cells(dgm: dict[str, PaperTable]):
    numbers = dgm["table4"].numbers
    for count in (5, 10):
        for method in ("dgm_a", "dgm_w"):
            parts = numbers[f"weights_{count}"][method] + numbers[f"masks_{count}"][method]
            assert numbers[f"total_{count}"][method] == pytest.approx(parts)


def test_tables_and_figures_ask_for_the_same_runs(dgm: dict[str, PaperTable]):
    """So that a run made for one of them is complete already for the others."""
    asked: dict[tuple[str, str, str], list[str]] = {}
    shared = 0
    for table in dgm.values():
        for budget in table.budgets:
            for run in table.runs:
                for method, entry in table.methods.items():
                    if entry.not_run is None:
                        overrides = table.overrides(run, method, budget, 0)
                        key = (run, method, budget)
                        shared += key in asked
                        assert asked.setdefault(key, overrides) == overrides
    assert shared > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_every_run_of_the_papers_tables_composes(name: str, ask):
    budgets = ["smoke"] if name in ("table3", "figure2") else ["smoke", "paper_code"]
    for budget in budgets:
        config = ask(EXPERIMENTS / f"{name}.yaml", budget=budget, seeds=[0],
                     data_root="/nowhere", methods=["dgm_w"])  # fmt: skip
        assert "method=dgm_w" in "\n".join(commands(plan_of(config)))


def test_budgets_reach_the_configs(dgm: dict[str, PaperTable]):
    smoke = compose_run(dgm["table2"].overrides("imagenet50", "dgm_w_k1000", "smoke", 0))
    assert (smoke.training.steps, smoke.data.num_tasks, smoke.method.real_total) == (3, 2, 20)
    paper = compose_run(dgm["table2"].overrides("imagenet50", "dgm_w_r025", "paper_code", 0))
    assert (paper.method.real_ratio, paper.method.replay) == (0.25, "per_class")
    assert paper.training.steps == 18786
    assert "selection" not in paper.callbacks, "the code selects no step on ImageNet-50"
    svhn = compose_run(dgm["table1"].overrides("svhn", "dgm_w", "paper_code", 0))
    assert "selection" in svhn.callbacks and svhn.data.splits.validation == 7325
    assert (svhn.selection.every, svhn.method.settle, svhn.method.replay_source) == (206, 0, "set")
    mnist = compose_run(dgm["table1"].overrides("mnist", "dgm_a", "paper_code", 0))
    assert (mnist.data.splits.resize, mnist.data.splits.validation) == ("bilinear", 9000)
    assert (mnist.method.leak, mnist.selection.every) == ("paper", 400)
    imagenet = compose_run(dgm["table1"].overrides("imagenet50", "dgm_w", "paper_code", 0)).method
    assert (imagenet.annealing.end, imagenet.embedding_start) == ("code_imagenet", 6)
    gan = compose_run(dgm["table1"].overrides("mnist", "mergan_ra", "paper_code", 0))
    assert (gan.data.splits.resize, gan.data.splits.validation) == ("pad", 5000), "MeRGAN's"
