"""What a step costs, and a run keeps, after 62 and 200 tasks: tiny networks, few steps."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import cast

import torch
from tqdm import tqdm

from benchmarks.common import Row, build_method, compose, spread
from benchmarks.growing import RESERVED, reserve
from benchmarks.steps import OFF, method_steps, take_turns
from lgan.callbacks.base import TaskCallback, TaskContext, announce
from lgan.layers.growing import GrowingGenerator
from lgan.methods.base import LifelongGAN
from lgan.methods.dgm import DGM
from lgan.reports.paper import quote
from lgan.training import build
from lgan.training.train import train

AT_62 = (
    *("sft", "joint", "ewc_gan", "dgr", "mergan_ra", "mergan_jtr", "per_task", "dgm_w", "dgm_a"),
    *("sft_heads", "piggyback_mask", "piggyback_gan", "pure_factorization", "progressive"),
)
AT_200 = ("sft", "mergan_ra", "mergan_jtr", "dgm_w", "piggyback_mask")
TARGETS = {"sft": 1.1, "ewc_gan": 1.1, "mergan_ra": 1.1, "mergan_jtr": 1.1, "piggyback_mask": 1.1}
UNGROWN = 1.3
"""Of DGM whose tasks reserve nothing, so that its generator does not grow."""
TINY = {
    "dgm_w": ("network.generator.width=4", "+network.discriminator.width=8"),
    "dgm_a": ("network.generator.width=4", "+network.discriminator.width=8"),
}


def settings(name: str, tasks: int) -> list[str]:
    """Return what a sequence of so many digits-sized classes, one a task, is composed of."""
    small = TINY.get(name, ("network.generator.width=32", "network.discriminator.width=32"))
    fisher = ["method.fisher_samples=2"] * (name == "ewc_gan")
    one_each = ["data.classes_per_task=1", f"data.num_tasks={tasks}"]
    return ["data=digits", f"method={name}", "training.batch_size=64", *one_each, *fisher, *small]


def at_task(name: str, tasks: int, task: int, reserved: float) -> Callable[[], None]:
    """Return what takes one step of a method that has reached `task`, learning nothing before.

    DGM has MNIST's networks: calls of several old ones are to weigh as they do there.

    Args:
        name: the method.
        tasks: length of the sequence.
        task: index of the task.
        reserved: share of what is free that each task of DGM takes.
    """
    own, size = settings(name, tasks), 8
    if name.startswith("dgm"):
        own, size = [*own[1:5], "data=mnist", "method.settle=0"], 32
    config = compose(own, size, 64, tasks)
    datamodule = build.build_datamodule(config)
    method = build_method(config, datamodule)
    source = torch.Generator().manual_seed(0)
    for index in range(task + 1):
        info = datamodule.open(index, method.cumulative_data)
        context = TaskContext(method, datamodule, index, Path())
        announce("on_task_start", method.configure_callbacks(), context)
        method.begin_task(info)
        if index < task:
            method.end_task(info)
            if isinstance(method, DGM):
                reserve(method.generator, source, reserved)
            else:
                announce("on_task_end", method.configure_callbacks(), context)
    if isinstance(method, DGM):
        for earlier in range(task):
            method.network_of(earlier)  # made once in a task
    batches = iter(datamodule.train_dataloader())
    return method_steps(method, batches, _protection(method))


def _protection(method: LifelongGAN) -> Callable[[str], None]:
    def protect(player: str) -> None:
        if player == "generator" and isinstance(method.generator, GrowingGenerator):
            method.generator.protect()

    return protect


def many_task_rows(quick: bool) -> list[Row]:
    """Measure a step in the last task against one in the second, and what a run keeps."""
    rows = []
    for tasks, methods in ((62, AT_62), (200, AT_200)):
        for name in tqdm(methods, desc=f"{tasks} tasks", unit="method"):
            what, grows = f"{name}, {tasks} tasks", name.startswith("dgm")
            if not grows:
                rows.append(_step_row(what, name, tasks, 0.0, quick, TARGETS.get(name)))
                continue
            rows.append(_step_row(f"{what}, no growth", name, tasks, 0.0, quick, UNGROWN))
            if tasks == 62:
                rows.append(_step_row(f"{what}, grown", name, tasks, RESERVED, quick, None))
    kept = ("sft", "mergan_jtr", "dgm_w", "piggyback_mask")
    lengths = (62,) if quick else (62, 200)
    return rows + [row for tasks in lengths for name in kept for row in _kept_rows(name, tasks)]


def _step_row(
    what: str, name: str, tasks: int, reserved: float, quick: bool, target: float | None
) -> Row:
    sides = [at_task(name, tasks, task, reserved) for task in (1, tasks - 1)]
    pairs = take_turns(sides[0], sides[1], 10 if quick else 30)
    ratios = [late / early for early, late in pairs]
    second, last = (median(side) for side in zip(*pairs, strict=True))
    ratio = median(ratios)
    measured = f"task 2 {1e3 * second:.1f} ms, last {1e3 * last:.1f} ms; {spread(ratios)}"
    said = "reported" if target is None else f"<= {target}"
    return Row(f"step of {what}", measured, ratio, said, target is None or ratio <= target)


class Bytes(TaskCallback):
    """Note at the start of each task, when room is made for it, what there is: numbers and files.

    Args:
        path: a file, to which a line is added per task: bytes of the method's tensors, of the files
            of tensors, of the borders and lists that name them.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def on_task_start(self, context: TaskContext) -> None:
        """Add the line."""
        state = context.method.state_dict().values()
        folder = context.folder / "checkpoints"
        found = [
            sum(t.numel() * t.element_size() for t in state),
            size_of(folder / "tensors", ".pt"),
            size_of(folder, ".pt") + size_of(folder / "tensors", ".names"),
        ]
        with Path(self.path).open("a", encoding="utf-8") as lines:
            lines.write(" ".join(map(str, found)) + "\n")


def size_of(folder: Path, ending: str) -> int:
    """Return the bytes of the files in a folder whose names end so; 0 without a folder."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.name.endswith(ending))
    return 0


def bytes_by_task(folder: Path, name: str, tasks: int, *overrides: str) -> torch.Tensor:
    """Train so many tasks of two steps; return a row for each (`Bytes`), before it was trained."""
    notes = folder / "bytes"
    config = compose(
        [
            *settings(name, tasks),
            *("training.steps=2", "training.batch_size=8", "training.critic_steps=1", "threads=1"),
            *(f"callbacks.{key}=null" for key in (*OFF, "progress", "checkpoint")),
            "+callbacks.bytes._target_=benchmarks.many_tasks.Bytes",
            f"+callbacks.bytes.path={quote(str(notes))}",
            f"run_dir={quote(str(folder / 'run'))}",
            *overrides,
        ],
        *(8, 8, tasks),
    )
    train(config)
    lines = notes.read_text(encoding="utf-8").splitlines()
    return torch.tensor([[int(number) for number in line.split()] for line in lines])


def bend(kept: torch.Tensor) -> float:
    """Return what the second half of the tasks added over what the first did: 1 where linear."""
    first, middle, last = kept[1], kept[len(kept) // 2], kept[2 * (len(kept) // 2) - 1]
    return float((last - middle) / max(1, int(middle - first)))


def _kept_rows(name: str, tasks: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        kept = bytes_by_task(Path(folder), name, tasks)
    what = ("memory: the method's tensors", "disk: the borders' tensors", "disk: borders' names")
    rows = []
    for column, said in zip(cast("list[torch.Tensor]", kept.T), what, strict=True):
        measured = f"{column[1] / 2**20:.2f} to {column[-1] / 2**20:.2f} MiB; second half / first"
        rows.append(Row(f"{name}, {tasks} tasks, {said}", measured, bend(column), "reported", None))
    return rows
