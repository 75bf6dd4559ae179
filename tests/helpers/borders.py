"""Borders between tasks without a runner or data: what it does with a method, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from lgan.callbacks.base import TaskContext, announce
from lgan.data.images import Images, TensorImages
from lgan.data.tasks import Task, TaskInfo
from lgan.methods.base import LifelongGAN


def info(
    task: int, task_classes: Sequence[tuple[int, ...]], images: Images | None = None, **numbers: int
) -> TaskInfo:
    """Return what a method is told of a task, of four grey pictures if none are given."""
    if images is None:
        labels = torch.tensor(task_classes[task])[torch.arange(4) % len(task_classes[task])]
        images = TensorImages(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), labels)
    rows = 1 + max(c for classes in task_classes for c in classes)
    settings = {"steps": 4, "batch_size": 4, "draws": 1, "num_classes": rows} | numbers
    return TaskInfo(task, tuple(task_classes), images=images, **settings)


def begin(
    method: LifelongGAN,
    task: int,
    task_classes: Sequence[tuple[int, ...]] | None = None,
    **settings: Any,
) -> LifelongGAN:
    """Let the method's callbacks make room for a task, and begin it."""
    classes = method.task_classes if task_classes is None else task_classes
    announce("on_task_start", method.configure_callbacks(), _context(method, task, classes))
    method.begin_task(info(task, classes, **settings))
    return method


def end(method: LifelongGAN) -> LifelongGAN:
    """End the task that was begun, and let the method's callbacks consolidate."""
    assert method.info is not None
    context = _context(method, method.task_index, method.task_classes)
    method.end_task(method.info)
    announce("on_task_end", method.configure_callbacks(), context)
    return method


def _context(method: LifelongGAN, task: int, classes: Sequence[tuple[int, ...]]) -> TaskContext:
    data: Any = SimpleNamespace(tasks=[Task(t, c) for t, c in enumerate(classes)])
    return TaskContext(method, data, task, Path())
