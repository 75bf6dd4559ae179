"""A sweeper that learns from its jobs: the number a run returns, and Optuna."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from sweep_table import table_of

from lgan.errors import ConfigError
from lgan.launch.compose import config_path
from lgan.launch.job import objective_value
from lgan.run.record import RunRecord

pytestmark = pytest.mark.slow


def value(folder, metric: str | None) -> float | None:
    return objective_value(OmegaConf.create({"objective_metric": metric}), folder)


def test_the_number_is_that_of_the_last_row(tmp_path) -> None:
    record = RunRecord(data="digits", method="sft", seed=0, num_tasks=2)
    for task, accuracy in enumerate((0.75, 0.5)):
        overall = {"accuracy_generated": accuracy, "fid": math.nan}
        record.add_row({"task": task, "metrics": [{}] * (task + 1), "overall": overall})
    record.save(tmp_path)
    assert value(tmp_path, "overall.accuracy_generated") == 0.5
    assert value(tmp_path, "task") == 1.0
    assert value(tmp_path, None) is None
    for wrong in ("overall.fid", "overall.accuracy", "overall", "metrics.accuracy_generated"):
        with pytest.raises(ConfigError, match=f"^objective_metric={wrong} .*overall.accuracy_gen"):
            value(tmp_path, wrong)


def best(folder) -> dict:
    return dict(OmegaConf.load(folder / "optimization_results.yaml"))


def test_a_search_goes_on_from_the_values_of_complete_runs(sweep, tmp_path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    search = ["experiment=search_learning_rate", "method=sft", "hydra.sweeper.n_trials=2"]
    first = sweep(*search)
    assert first.returncode == 0, first.stderr
    assert [row[1] for row in table_of(first)] == ["complete", "complete"]
    records = [json.loads(p.read_text()) for p in (tmp_path / "runs").glob("*/results.json")]
    values = [record["rows"][-1]["overall"]["accuracy_generated"] for record in records]
    found = best(tmp_path / "runs")
    assert len(values) == 2 and found["best_value"] == max(values)
    again = sweep(*search, "hydra.sweeper.n_trials=3")
    assert again.returncode == 0, again.stderr
    assert [row[1] for row in table_of(again)] == ["skipped", "skipped", "complete"]
    assert best(tmp_path / "runs")["best_value"] >= found["best_value"]


def test_a_failed_trial_does_not_end_the_search(sweep, tmp_path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    result = sweep(
        "experiment=search_learning_rate",
        "method=sft",
        "hydra.sweeper.n_trials=3",
        "training.learning_rate=1.0e-4",
        "training.batch_size=choice(99999,32)",
    )
    assert result.returncode == 1, result.stderr
    rows = [(row[2], row[1]) for row in table_of(result)]
    failed, good = ("training.batch_size=99999", "failed"), "training.batch_size=32"
    assert len(rows) == 3 and failed in rows and rows[-1][0] == good
    assert all(
        row == failed or row[0] == good and row[1] in ("complete", "skipped") for row in rows
    )
    assert best(tmp_path / "runs")["best_params"] == {"training.batch_size": 32}


SEARCHES = sorted(Path(config_path()).glob("experiment/search_*.yaml"))


@pytest.mark.parametrize(
    "experiment", [path.stem for path in SEARCHES if path.stem != "search_learning_rate"]
)
def test_methods_are_searched_with_equal_effort_on_seeds_of_their_own(experiment: str) -> None:
    method = experiment.removeprefix("search_")
    with initialize_config_dir(config_path(), version_base="1.3"):
        config = compose("train", [f"experiment={experiment}"], return_hydra_config=True)
        params = dict(config.hydra.sweeper.params)
        both = f"experiment=[same_networks,{experiment}]"  # the search's method, not all of them
        assert params == compose("train", [both], return_hydra_config=True).hydra.sweeper.params
        assert params.pop("method") == method
        asked = OverridesParser.create().parse_overrides([f"{k}={v}" for k, v in params.items()])
        grid = [list(each.sweep_string_iterator()) for each in asked]
        *ends, (_, seeds) = zip([each.key_or_group for each in asked], grid, strict=True)
        for corner in (0, -1):
            own = [f"experiment={experiment}", *(f"{key}={values[corner]}" for key, values in ends)]
            assert compose("train", own).method.name == method
    fishers = 3 if method == "ewc_gan" else 1  # a lambda means something with its Fisher only
    assert math.prod(map(len, grid)) == fishers * 8 * 2 and seeds == ["100", "101"]
    assert config.paths.runs == f"outputs/{experiment}" and config.evaluation.reverse == "never"
