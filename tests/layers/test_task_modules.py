"""Modules of which every task has its own: frozen at the border, and keys that runs depend on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lgan.layers.masked import TaskSpecific
from lgan.layers.per_task import PerTask


def made_anew():
    layer = TaskSpecific(nn.BatchNorm2d(2), lambda width, classes: nn.BatchNorm2d(width))
    layer.add_task(2, [0], again=False)
    return layer, lambda: layer.add_task(2, [1], again=False)


def copied():
    layer = PerTask(nn.BatchNorm2d(2))
    return layer, layer.add_task


@pytest.mark.parametrize("make", [made_anew, copied])
def test_a_finished_tasks_module_is_frozen_in_eval_mode_before_the_next_starts(make) -> None:
    layer, add_task = make()
    assert len(layer.tasks) == 1
    layer.commit()
    layer.train()
    assert not layer.tasks[0].training and not any(p.requires_grad for p in layer.parameters())
    add_task()
    layer.train()
    assert [module.training for module in layer.tasks] == [False, True]
    layer(torch.randn(4, 2, 3, 3)).sum().backward()
    assert layer.tasks[0].weight.grad is None and layer.tasks[1].weight.grad is not None
    assert {key.rpartition(".")[0] for key in layer.state_dict()} == {"tasks.0", "tasks.1"}


def test_a_shared_module_stays_in_eval_mode_in_later_tasks() -> None:
    layer = PerTask(nn.BatchNorm2d(2), shared=True)
    layer.commit()
    layer.add_task()
    layer.train()
    assert len(layer.tasks) == 1 and not layer.tasks[0].training
    assert layer.bake(1).state_dict().keys() == nn.BatchNorm2d(2).state_dict().keys()
