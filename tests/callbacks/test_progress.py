"""The bar over all tasks."""

import sys
from types import SimpleNamespace

import pytest

from lgan.callbacks.progress import SequenceProgress


@pytest.mark.parametrize("shown", [True, False])
def test_it_is_switched_off_and_on_as_lightnings(monkeypatch, shown) -> None:
    bar, asked = SequenceProgress(), []
    silent = SimpleNamespace(set_description=lambda _: None)
    monkeypatch.setattr(
        sys.modules["lgan.callbacks.progress"],
        "tqdm",
        lambda **settings: asked.append(settings["disable"]) or silent,
    )
    bar.disable()
    if shown:
        bar.enable()
    task = SimpleNamespace(classes=(0,))
    data = SimpleNamespace(
        num_tasks=1, steps=2, class_names="a", sequence=SimpleNamespace(tasks=[task])
    )
    method = SimpleNamespace(name="sft")
    bar.on_task_start(SimpleNamespace(datamodule=data, method=method, step=0, task=0))
    assert asked == [not shown]
