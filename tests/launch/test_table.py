"""The table at the end of a sweep: who is done, who failed, who died, and the exit code."""

from __future__ import annotations

import pytest
from sweep_table import table_of

pytestmark = pytest.mark.slow

KILLER = "+callbacks.deadly={_target_:deadly.Killed,seed:'${seed}',victim:1}"


def test_a_sweep_goes_on_where_it_stopped_and_reports_what_failed(sweep, tmp_path) -> None:
    first = sweep("seed=0,1", "training.batch_size=99999,32")
    assert first.returncode == 1
    assert [row[1] for row in table_of(first)] == ["failed", "complete"] * 2
    assert table_of(first)[0][-1].startswith("training.batch_size=99999 must lie between")
    assert "4 jobs: 2 complete, 2 failed" in first.stdout
    assert "2 of 4 jobs" in first.stderr and "Traceback" not in first.stderr
    again = sweep("seed=0,1,2")
    assert again.returncode == 0, again.stderr
    rows = table_of(again)
    assert [row[1] for row in rows] == ["skipped", "skipped", "complete"]
    assert [row[2] for row in rows] == ["seed=0", "seed=1", "seed=2"]
    assert len(list((tmp_path / "runs").glob("*/results.json"))) == 3
    assert not (tmp_path / "runs" / ".sweep").exists()


def test_a_bug_shows_its_trace_at_once_and_its_type_in_the_table(sweep) -> None:
    result = sweep("seed=0,1", "+callbacks.deadly={_target_:deadly.Broken}", "trust=[deadly]")
    assert result.returncode == 1
    assert [row[1] for row in table_of(result)] == ["failed", "failed"]
    assert table_of(result)[0][-1] == "TypeError: a bug"
    assert "Traceback" in result.stderr


def test_a_mistake_on_the_command_line_has_no_table(sweep) -> None:
    result = sweep("seed=0,1", "training.stepz=3")
    assert result.returncode == 1
    assert "stepz" in result.stderr and "Traceback" not in result.stderr
    assert "never started" not in result.stdout


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_killed_job_died(sweep, launcher) -> None:
    """joblib's other workers end with it; submitit's go on and are waited for."""
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher")
    result = sweep(f"hydra/launcher={launcher}", "seed=1,2", KILLER, "trust=[deadly]")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    rows = table_of(result)
    assert rows[0][1] == "died" and "killed" in rows[0][-1]
    assert rows[1][1] == ("complete" if launcher == "submitit_local" else rows[1][1])
    assert "not done, see the table" in result.stderr
