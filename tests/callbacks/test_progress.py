"""The bar over all tasks, and the lines that stand for it where there is no terminal."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from lgan import progress
from lgan.callbacks import progress as callback
from lgan.callbacks.base import announce
from lgan.callbacks.progress import SequenceProgress
from lgan.progress import Lines, duration


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """Return what the time is, in seconds."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def context(task: int = 0, tasks: int = 2, steps: int = 100) -> Any:
    data = SimpleNamespace(
        num_tasks=tasks, steps=steps, class_names="ab",
        sequence=SimpleNamespace(tasks=[SimpleNamespace(classes=(t,)) for t in range(tasks)]),
        info=SimpleNamespace(all_steps=steps),
    )  # fmt: skip
    method = SimpleNamespace(name="sft")
    return SimpleNamespace(datamodule=data, method=method, step=task * steps, task=task, summary={})


@pytest.mark.parametrize("shown", [True, False])
def test_it_is_switched_off_and_on_as_lightnings(monkeypatch, shown: bool) -> None:
    shows, asked = SequenceProgress(), []
    silent = SimpleNamespace(set_description=lambda _: None)
    monkeypatch.setattr(
        callback, "bar", lambda *_, **settings: asked.append(settings["hidden"]) or silent
    )
    shows.disable()
    if shown:
        shows.enable()
    shows.on_task_start(context())
    assert asked == [not shown] and silent.total == 200


def test_it_shows_each_loss_by_its_first_letter_and_goes_where_training_is() -> None:
    bar, said = SequenceProgress(), []
    bar._first = (4, 0.0)
    bar._bar = SimpleNamespace(
        n=3, total=8, set_postfix=lambda losses, refresh: said.append(losses), update=said.append
    )
    losses = {"generator": 0.12345, "discriminator": 2.0}
    method = SimpleNamespace(step=20, total_steps=7, read_losses=lambda: losses)
    bar.on_train_batch_end(None, method)
    assert said == [{"G": "0.123", "D": "2"}, 4]


def test_a_terminal_has_a_bar_and_a_log_has_lines(monkeypatch) -> None:
    assert isinstance(progress.bar("a", 3), Lines)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert not isinstance(progress.bar("a", 3, leave=False), Lines)


def test_lines_come_ever_more_seldom(clock, capsys) -> None:
    with Lines("counting", 20_000, "sheep") as lines:
        for _ in range(20_000):
            clock[0] += 1.0
            lines.update()
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "counting: 30 of 20000 sheeps, 0 %, about 5.5 hours left"
    assert 50 < len(said) < 100, "twenty in ten minutes, then each later by a twentieth"


def test_work_of_seconds_says_nothing(capsys) -> None:
    assert list(progress.over(range(3), "counting", 3)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_batches_are_no_batchs(clock, capsys) -> None:
    with Lines("counting", 2, "batch") as lines:
        clock[0] = 60.0
        lines.update()
    assert capsys.readouterr().err == "counting: 1 of 2 batches, 50 %, about 60 s left\n"


def test_the_first_steps_foretell_the_whole_and_borders_count(clock, capsys) -> None:
    shows, now = SequenceProgress(every=5), context(0)
    method = SimpleNamespace(step=0, total_steps=0, read_losses=dict)

    def train(steps: int) -> None:
        for _ in range(steps):
            clock[0] += 1.0
            method.step += 1
            method.total_steps += 1
            shows.on_train_batch_end(None, method)

    announce("on_task_start", [shows], now)  # as a run does
    train(100)
    assert now.summary == {"expected_seconds": pytest.approx(200)}
    announce("on_task_end", [shows], now)
    clock[0] += 50  # the border
    shows.on_task_start(context(1))
    train(40)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("expected: 3 min of training at 1 s a step")
    assert said[1] == "sft: task 0 of 0-1 (a): 30 of 200 steps, 15 %, about 3 min left"
    assert "sft: task 0 of 0-1 (a): learnt, now it is measured, 50 %, about 2 min left" in said
    assert shows.left() == pytest.approx(60 + 50)


def test_steps_of_a_run_that_was_stopped_within_a_task_are_not_the_pace(clock, capsys) -> None:
    shows, method = SequenceProgress(every=1), SimpleNamespace(step=90, total_steps=90)
    method.read_losses = dict
    shows.on_task_start(context())
    for _ in range(5):
        method.step, method.total_steps = method.step + 1, method.total_steps + 1
        clock[0] += 10.0
        shows.on_train_batch_end(None, method)
    assert "93 of 200 steps, 46 %, about 18 min left" in capsys.readouterr().err


def test_times_are_as_exact_as_one_needs_them() -> None:
    assert [duration(s) for s in (8, 700, 12_600, 181_440)] == [
        "8 s", "12 min", "3.5 hours", "2.1 days"
    ]  # fmt: skip
