"""The sequence of tasks."""

from __future__ import annotations

import pytest
from omegaconf import ListConfig

from lgan.data.tasks import Task, TaskSequence
from lgan.errors import ConfigError


def test_natural_order_in_equal_tasks() -> None:
    sequence = TaskSequence(6, 2)
    assert list(sequence) == [Task(0, (0, 1)), Task(1, (2, 3)), Task(2, (4, 5))]
    assert sequence.seen(1) == (0, 1, 2, 3)


def test_a_list_of_sizes_and_of_classes() -> None:
    order = [3, 1, 0, 2]
    sequence = TaskSequence(4, ListConfig([1, 3]), ListConfig(order))
    assert [task.classes for task in sequence] == [(3,), (1, 0, 2)]
    assert sequence.seen(1) == (3, 1, 0, 2)


def test_the_first_tasks_only() -> None:
    assert [t.classes for t in TaskSequence(6, 2, num_tasks=2)] == [(0, 1), (2, 3)]
    assert [t.classes for t in TaskSequence(6, [1, 2], num_tasks=2)] == [(0,), (1, 2)]


def test_random_order_is_fixed_by_its_seed() -> None:
    def classes(seed: int) -> tuple[int, ...]:
        return TaskSequence(10, 1, "random", seed).seen(9)

    assert classes(0) == classes(0) != classes(1)
    assert sorted(classes(0)) == list(range(10)) != list(classes(0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes_per_task": 0}, r"data.classes_per_task=0 must divide the 6 .*\[1, 2, 3, 6\]"),
        ({"classes_per_task": 4}, "data.classes_per_task=4 must divide the 6 classes .* a list"),
        ({"classes_per_task": [4, 3]}, r"data.classes_per_task=\[4, 3\] .* at most 6"),
        ({"classes_per_task": [6, 0]}, r"data.classes_per_task=\[6, 0\] .* positive"),
        ({"classes_per_task": []}, r"data.classes_per_task=\[\] "),
        ({"classes_per_task": [2, 2]}, "covers 4 of 6 classes.*data.num_tasks=2"),
        ({"num_tasks": 4}, "data.num_tasks=4 must lie between 1 and 3.*classes_per_task=2"),
        ({"num_tasks": 0}, "data.num_tasks=0 must lie between 1 and 3"),
        ({"class_order": [0, 1, 2, 3, 4]}, r"missing \[5\], repeated \[\], unknown \[\]"),
        ({"class_order": [0, 1, 2, 3, 4, 4]}, r"missing \[5\], repeated \[4\], unknown \[\]"),
        ({"class_order": [0, 1, 2, 3, 4, 5, 6]}, r"missing \[\], repeated \[\], unknown \[6\]"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TaskSequence(6, **{"classes_per_task": 2, **settings})


@pytest.mark.parametrize("index", [-1, 3])
def test_a_task_that_is_not_there(index: int) -> None:
    with pytest.raises(ConfigError, match=f"task={index} does not exist: the sequence has 3"):
        TaskSequence(6, 2)[index]
