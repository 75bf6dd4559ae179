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


def test_it_shows_each_loss_by_its_first_letter_and_goes_where_training_is() -> None:
    bar, said = SequenceProgress(), []
    bar._bar = SimpleNamespace(
        n=3, set_postfix=lambda losses, refresh: said.append(losses), update=said.append
    )
    losses = {"generator": 0.12345, "discriminator": 2.0}
    method = SimpleNamespace(step=20, total_steps=7, read_losses=lambda: losses)
    bar.on_train_batch_end(None, method)
    assert said == [{"G": "0.123", "D": "2"}, 4]
