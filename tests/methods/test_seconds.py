"""What a task took, by the clock and of the processor: stops and other tasks do not count."""

from __future__ import annotations

import pytest

from lgan.methods import saving
from lgan.methods.saving import Saved


@pytest.fixture
def clocks(monkeypatch) -> dict[str, float]:
    """The time of both clocks, which stand still unless a test moves them."""
    now = {"train_seconds": 100.0, "processor_seconds": 10.0}
    monkeypatch.setattr(saving, "CLOCKS", {name: lambda name=name: now[name] for name in now})
    return now


def saved() -> Saved:
    method = Saved()
    method.name, method.task_index, method.objective = "sft", 0, NoState()
    return method


class NoState:
    """An objective that keeps nothing."""

    def state_dict(self) -> dict:
        return {}

    def load_state_dict(self, state: dict) -> None:
        assert state == {}


def pass_time(clocks: dict[str, float], wall: float, processor: float) -> None:
    clocks["train_seconds"] += wall
    clocks["processor_seconds"] += processor


def test_seconds_before_a_stop_count_and_those_between_do_not(clocks) -> None:
    method = saved()
    pass_time(clocks, 5.0, 2.0)
    checkpoint = {"state_dict": {}}
    method.on_save_checkpoint(checkpoint)
    pass_time(clocks, 1000.0, 0.0)  # stopped

    again = saved()
    again.on_load_checkpoint(checkpoint)
    again.start_clocks()
    pass_time(clocks, 3.0, 1.5)
    assert again.seconds == {"train_seconds": 8.0, "processor_seconds": 3.5}
    again.reset_clocks()  # the next task
    pass_time(clocks, 1.0, 0.5)
    assert again.seconds == {"train_seconds": 1.0, "processor_seconds": 0.5}


def test_a_checkpoint_of_before_the_second_clock_is_read(clocks) -> None:
    checkpoint = {"state_dict": {}}
    saved().on_save_checkpoint(checkpoint)
    checkpoint["lgan"]["seconds"] = 7.0
    method = saved()
    method.on_load_checkpoint(checkpoint)
    assert method.seconds == {"train_seconds": 7.0, "processor_seconds": 0.0}
