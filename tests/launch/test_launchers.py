"""Launchers that run several jobs at a time on one machine."""

from __future__ import annotations

import pytest
from sweep_table import table_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("launcher", "two_at_a_time"),
    [("joblib", "hydra.launcher.n_jobs=2"), ("submitit_local", "hydra.sweeper.max_batch_size=2")],
)
def test_three_jobs_two_at_a_time(sweep, tmp_path, launcher, two_at_a_time) -> None:
    """The failing job stands in the first batch and stops none of the later ones."""
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher")
    result = sweep(f"hydra/launcher={launcher}", two_at_a_time, "training.batch_size=99999,32,16")
    assert result.returncode == 1
    assert [row[1] for row in table_of(result)] == ["failed", "complete", "complete"]
    assert len(list((tmp_path / "runs").glob("*/checkpoints/task1.pt"))) == 2
    if launcher == "joblib":
        assert "Joblib.Parallel(n_jobs=2," in result.stdout
