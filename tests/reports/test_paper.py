"""The paper's tables: composed configs, rows beside the paper's numbers, absent data."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf
from paper_table import build_table

from lgan.cli.paper import commands, join
from lgan.errors import ConfigError
from lgan.launch.compose import compose_run
from lgan.launch.paper_cells import plan_of
from lgan.launch.sweep_table import Job
from lgan.reports.paper import quote
from lgan.reports.paper_file import PaperTable

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments" / "mergan"
METHODS = ["joint", "sft", "ewc_gan", "dgr", "mergan_jtr", "mergan_ra"]


def write_table(folder: Path, **changes) -> Path:
    values = {"a1": {"sft": 70.0, "joint": 90.0}, "a2": {"sft": 60.0}, "fid": {"sft": 12.0}}
    paper = {"t": {"source": "A | B", "values": values}}
    (folder / "paper.yaml").write_text(yaml.safe_dump(paper))
    columns = [
        {"key": "a1", "title": "A, 1 task", "run": "digits", "metric": "accuracy_generated",
         "after_task": 1},
        {"key": "a2", "title": "A, 2 tasks", "run": "digits", "metric": "accuracy_generated",
         "after_task": 2},
        {"key": "fid", "title": "FID", "run": "digits", "metric": "fid_inception",
         "stand_in": "fid_"},
    ]  # fmt: skip
    content = {
        "title": "Table",
        "numbers": "paper.yaml#t",
        "runs": {"digits": ["data=digits"]},
        "methods": {"sft": ["method=sft"], "joint": ["method=joint"]},
        "columns": columns,
        "budgets": {"smoke": {"note": "means nothing", "overrides": ["training.steps=2"]}},
    }
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
def fake_train(make_run):
    """Return a stand-in for training: the hand-made record of the method and seed asked for."""

    def train(config: DictConfig) -> Path:
        train.configs.append(config)
        return make_run(config.method.name, config.seed)

    train.configs = []
    return train


def lines_of(text: str) -> dict[tuple[str, str], list[str]]:
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ") and "method" not in line
    ]
    return {(row[0], row[1]): row[2:] for row in cells}


def test_ours_beside_the_papers_by_hand(tmp_path: Path, ask, fake_train, capsys):
    text = build_table(ask(write_table(tmp_path)), fake_train)
    rows = lines_of(text)
    # after task 1: 0.9 and 0.8, in percent 85 +- 7.07, the paper has 70
    assert rows["A, 1 task", "sft"] == ["85.00 ± 7.07", "2", "70.00", "+15.00", ""]
    assert rows["A, 2 tasks", "sft"] == ["65.00 ± 0.00", "2", "60.00", "+5.00", ""]
    assert rows["A, 2 tasks", "joint"][2:4] == ["not reported", "–"]
    assert "means nothing" in text
    assert "98.00 % on real test images" in text
    assert (tmp_path / "out" / "table.md").read_text() == text
    assert f"written: {tmp_path / 'out/table.md'}" in capsys.readouterr().err


def test_the_configs_are_those_of_the_table(tmp_path: Path, ask, fake_train):
    build_table(ask(write_table(tmp_path), overrides=["training.batch_size=8"]), fake_train)
    config = fake_train.configs[3]
    assert (config.method.name, config.seed, config.data.name) == ("joint", 1, "digits")
    assert (config.training.steps, config.data.batch_size) == (2, 8)
    assert config.paths.runs == str(tmp_path / "out")


def test_another_extractors_fid_stands_apart_without_a_difference(tmp_path, ask, fake_train):
    rows = lines_of(build_table(ask(write_table(tmp_path)), fake_train))
    # AFQ 16 and 20: mean 18
    ours, _, paper, difference, remark = rows["FID", "sft"]
    assert (ours, paper, difference) == ("18.00 ± 2.83", "12.00", "–")
    assert remark == r"fid\_classifier, not comparable with the paper's extractor"


def test_a_shorter_sequence_is_marked_and_gives_no_difference(tmp_path, ask, fake_train):
    path = write_table(tmp_path)
    content = yaml.safe_load(path.read_text())
    content["columns"][1]["after_task"] = 10
    path.write_text(yaml.safe_dump(content))
    row = lines_of(build_table(ask(path), fake_train))["A, 2 tasks", "sft"]
    assert row[3:] == ["–", "after 2 tasks only"]


def test_what_was_not_made_leaves_a_sentence(tmp_path, ask, make_run):
    plan = plan_of(ask(write_table(tmp_path)))
    jobs = [
        Job(0, ["cell=digits/sft/0"], "skipped", str(make_run("sft", 0))),
        Job(1, ["cell=digits/sft/1"], "failed", "x", "loss <nan> at task 0, step 3"),
        Job(2, ["cell=digits/joint/0"], "no data", "x", "digits are not in <here>."),
    ]
    rows = lines_of(join(plan, jobs))
    assert rows["A, 1 task", "sft"][:2] == ["90.00", "1"]
    assert rows["A, 1 task", "sft"][4] == "failed: loss &lt;nan&gt; at task 0, step 3"
    expected = ["–", "0", "90.00", "–", "data cannot be had here"]
    assert rows["A, 1 task", "joint"] == expected


def test_wrong_names_are_refused_before_anything_is_trained(tmp_path, ask, fake_train):
    path = write_table(tmp_path)
    with pytest.raises(ConfigError, match="methods=nobody is none of sft, joint"):
        build_table(ask(path, methods=["nobody"]), fake_train)
    with pytest.raises(ConfigError, match="budget=large is none of smoke"):
        build_table(ask(path, budget="large"), fake_train)
    with pytest.raises(ConfigError, match="cannot be read"):
        build_table(ask(tmp_path / "absent.yaml"), fake_train)
    with pytest.raises(ConfigError, match="table=... is missing"):
        build_table(ask(path, table=None), fake_train)
    with pytest.raises(ConfigError, match="names no table"):
        build_table(ask(write_table(tmp_path, numbers="paper.yaml#x")), fake_train)
    assert fake_train.configs == []


def test_an_override_that_does_not_fit_is_named():
    with pytest.raises(ConfigError, match=r"training\.stepz is no key"):
        compose_run(["training.stepz=3"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["table1", "table2"])
def test_every_run_of_the_papers_tables_composes(name: str, ask, tmp_path: Path):
    path = EXPERIMENTS / f"{name}.yaml"
    for budget in PaperTable.load(path).budgets:
        # What a budget says does not depend on the method: all of them once is enough.
        methods = METHODS if budget == "paper" else ["mergan_ra"]
        root = str(tmp_path / "it's, here")
        config = ask(path, budget=budget, methods=methods, seeds=[0], data_root=root)
        text = "\n".join(commands(plan_of(config)))
        assert all(f"method={method} " in text for method in methods)


def test_the_papers_tables_are_whole():
    one, two = (PaperTable.load(EXPERIMENTS / f"{name}.yaml") for name in ("table1", "table2"))
    assert list(one.methods) == list(two.methods) == METHODS
    printed = [column for column in one.columns if column.part == "The paper's data"]
    assert {column.key for column in printed} == set(one.numbers)
    assert all(set(one.numbers[column.key]) == set(METHODS) for column in printed)
    assert one.numbers["mnist_10"]["mergan_ra"] == 97.01
    assert all(set(two.numbers[column.key]) == set(METHODS[1:]) for column in two.columns)


def test_paper_budget_has_the_papers_iterations():
    table = PaperTable.load(EXPERIMENTS / "table1.yaml")
    for run, budget, steps in (
        ("mnist", "paper", 4000),
        ("mnist", "paper_8000", 8000),
        ("svhn", "paper", 8000),
        ("svhn", "cpu", 300),
    ):
        config = compose_run(table.overrides(run, "sft", budget, 0))
        assert (config.training.steps, config.data.num_tasks) == (steps, None)
    smoke = compose_run(table.overrides("svhn", "sft", "smoke", 0))
    assert (smoke.training.steps, smoke.data.num_tasks) == (3, 2)
    assert smoke.evaluation.samples_per_class == 16
    assert compose_run(table.overrides("mnist", "ewc_gan", "smoke", 0)).method.fisher_samples == 16
    assert compose_run(table.overrides("mnist", "ewc_gan", "paper", 0)).method.fisher_samples > 16
    for budget, steps in (("smoke", 100), ("cpu", 800), ("paper", 800)):
        config = compose_run(["data=digits", "method=sft", f"budget={budget}"])
        assert config.evaluation.classifier_training.steps == steps


def test_data_root_may_hold_a_folder_per_data_set(tmp_path: Path, ask):
    (tmp_path / "mnist").mkdir()
    plan = plan_of(ask(EXPERIMENTS / "table1.yaml", data_root=str(tmp_path)))
    assert f"data.root={tmp_path}/mnist" in plan.overrides("mnist/sft/0")
    assert f"data.root={tmp_path}" in plan.overrides("svhn/sft/0")
    plan = plan_of(ask(EXPERIMENTS / "table1.yaml"))
    assert not any("data.root" in override for override in plan.overrides("svhn/sft/0"))


@pytest.mark.parametrize(
    "name", ["/a b", "/it's", "/a,b=[c]{d}", "/x\\y", "/x\\'y\\", "/$(z)", "/ä"]
)
def test_odd_paths_survive_hydras_grammar(name: str):
    config = compose_run([f"data.root={quote(name)}", f"paths.runs={quote(name)}"])
    assert (config.data.root, config.paths.runs) == (name, name)
