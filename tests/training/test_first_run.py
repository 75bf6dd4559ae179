"""What a newcomer meets: the budget that is taken, small classes, the summary."""

from __future__ import annotations

import pytest

from lgan.launch.compose import compose_run
from lgan.run import identity


@pytest.mark.parametrize(
    ("asked", "gpu", "taken"),
    [
        (["data=mnist"], False, "cpu"),
        (["data=svhn"], True, "paper"),
        (["data=mnist", "budget=auto", "trainer=cpu"], True, "cpu"),
        (["data=mnist", "trainer=gpu"], False, "paper"),
        (["data=digits"], False, "paper"),
        (["data=photos"], False, "paper"),
        (["data=digits", "experiment=same_networks"], False, "cpu"),
    ],
)
def test_the_budget_that_nobody_named(monkeypatch, asked, gpu: bool, taken: str) -> None:
    monkeypatch.setattr(identity, "accelerated", lambda: gpu)
    config = compose_run(asked)
    assert config.budget == taken
    if "experiment=same_networks" in asked:
        assert config.budget_why is None
        return
    assert config.budget_why
    named = compose_run([*(each for each in asked if each != "budget=auto"), f"budget={taken}"])
    assert named.run_name == config.run_name, "it is the run that its budget would be"
    assert named.training == config.training and named.budget_why is None
