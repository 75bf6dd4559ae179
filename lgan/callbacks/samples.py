"""Images from a fixed noise: what the generator shows of each class after each task."""

import hashlib
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torchvision.utils import make_grid, save_image

from lgan import distributed
from lgan.arguments import Count, Whole
from lgan.callbacks.base import Learner, TaskCallback, TaskContext
from lgan.callbacks.evaluation import PictureSource
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.images import to_float, to_uint8
from lgan.data.ledger import Reader
from lgan.errors import DamagedFileError, warn
from lgan.files import atomic_path, save_tensors, verify
from lgan.networks.factory import noise_length
from lgan.run.identity import Stamp, load_stamped
from lgan.run.loggers import log_image
from lgan.run.samples import shows_all
from lgan.seeding import Noise


def digest(images: Tensor) -> str:
    """Return a hash of the exact bits of a tensor of images."""
    return hashlib.sha256(images.contiguous().cpu().numpy().tobytes()).hexdigest()[:16]


def is_whole(path: Path) -> bool:
    """Return whether a file is there and not damaged."""
    try:
        verify(path)
    except (DamagedFileError, FileNotFoundError):
        return False
    return True


REAL = 4  # pictures of a class that are kept to compare with


class FixedNoiseSamples(TaskCallback):
    """After each task, draw `per_class` images of every class so far from noise fixed by `seed`.

    Writes to `samples/` noise.pt (of translations uint8 test inputs), per task t its own images
    learnt{t}.pt, and of the tasks that `lgan.run.samples` tells uint8 images by class, task{t}.pt,
    and a row per class, task{t}.png; for pairs also targets.pt, uint8 (tasks, per_class, C, H, W),
    of classes `real` test pictures to show beside them in real.pt, uint8 (classes, 4, C, H, W).
    Adds to the record, for every task so far, a digest of its images in eval mode and how far they
    have drifted since it was learnt: the same digest is a proof of exact retention. Where another
    network draws a task's images from a later border on, drift is since then, learnt{j}_at{t}.pt.
    """

    reads: ClassVar[Reader] = "evaluation"

    def __init__(self, per_class: Count = 16, seed: Whole = 0) -> None:
        self.per_class, self.seed = per_class, seed

    @torch.no_grad()
    def on_task_end(self, context: TaskContext) -> None:
        """Draw, record, save and log."""
        method, folder = context.method, context.folder / "samples"
        if not method.has_generator:
            return
        method.eval()
        noise = self._noise(method, context.datamodule, folder)
        tasks = context.datamodule.sequence.tasks[: context.task + 1]
        drawn = distributed.spread(lambda task: self._draw(method, noise, task.classes), tasks)
        if distributed.is_main():
            self._save_targets(context.datamodule, folder, method.stamp)
            self._save_real(context, folder)
            context.record(retention=self._compare(drawn, context, folder))
            self._save(drawn, context, folder)

    def _noise(self, method: Learner, datamodule: TaskSequenceDataModule, folder: Path) -> Tensor:
        """Return noise (classes, rows, z_dim) or first test inputs (tasks, per_class, C, H, W)."""
        path = folder / "noise.pt"
        if distributed.is_main():
            # The very same, if it was there before, to which classes may have come since.
            known = [load_stamped(path, method.stamp)["noise"]] if is_whole(path) else []
            there = sum(map(len, known))
            # Of a translation that the run leaves out (data.num_tasks) there are no inputs.
            pictures = datamodule.task_kind == "pictures"
            count = len(datamodule.sequence) if pictures else datamodule.num_classes
            if there < count:
                noise = self._draw_noise(method, datamodule, pictures, count)
                self._write(path, method.stamp, noise=torch.cat((*known, noise[there:])))
        distributed.barrier()
        noise = load_stamped(path, method.stamp)["noise"].to(method.device)
        return noise if noise.is_floating_point() else to_float(noise)

    def _draw_noise(
        self, method: Learner, datamodule: TaskSequenceDataModule, pictures: bool, count: int
    ) -> Tensor:
        labels = torch.arange(count).repeat_interleave(self.per_class)
        if pictures:
            noise = to_uint8(PictureSource(datamodule, method.device)(labels))
        else:
            rows = len(labels) * method.noise_rows
            noise = Noise(self.seed).normal(rows, noise_length(method.generator))
        return noise.unflatten(0, (count, -1))

    def _save_targets(self, datamodule: TaskSequenceDataModule, folder: Path, stamp: Stamp) -> None:
        path = folder / "targets.pt"
        if path.exists() or not datamodule.paired:
            return
        tests = map(datamodule.test_images, range(len(datamodule.sequence)))
        targets = [t.take(torch.arange(self.per_class) % len(t)).cpu() for t in tests]
        self._write(path, stamp, targets=torch.stack(targets))

    def _save_real(self, context: TaskContext, folder: Path) -> None:
        """Keep first test pictures of the task's classes, which reports show beside drawn ones."""
        path, data, stamp = folder / "real.pt", context.datamodule, context.method.stamp
        if data.task_kind == "pictures":
            return
        test = data.test_images(context.task)  # also where they are known: the ledger tells of it
        known = load_stamped(path, stamp) if is_whole(path) else {"classes": [], "real": []}
        new = [c for c in data.sequence.tasks[context.task].classes if c not in known["classes"]]
        tests = [test.of_classes([c]) for c in new]
        if tests and all(map(len, tests)):
            taken = [each.take(torch.arange(REAL) % len(each)).cpu() for each in tests]
            real = torch.stack([*known["real"], *taken])
            self._write(path, stamp, classes=[*known["classes"], *new], real=real)

    def _draw(self, method: Learner, noise: Tensor, classes: tuple[int, ...]) -> Tensor:
        labels = torch.tensor(classes, device=noise.device).repeat_interleave(self.per_class)
        images = method.generate(noise[list(classes)].flatten(0, 1), labels)
        return images.unflatten(0, (len(classes), self.per_class)).float().cpu()

    def _compare(self, drawn: list[Tensor], context: TaskContext, folder: Path) -> list[dict]:
        stamp, found = context.method.stamp, []
        for task, now in enumerate(drawn):
            since = context.method.learnt_at(task)
            path = folder / (f"learnt{task}" + f"_at{since}" * (since > task) + ".pt")
            # What was learnt stays when a border is measured again.
            if since == context.task and not (context.former and path.exists()):
                self._write(path, stamp, images=now)
            then = self._learnt(path, task, stamp)
            drift = torch.tensor(torch.nan) if then is None else (now - then).abs()
            same = then is not None and digest(now) == digest(then)
            entry = {"max_drift": float(drift.max()), "mean_drift": float(drift.mean())}
            found.append({"digest": digest(now), "exact": same} | entry)
        return found

    @staticmethod
    def _learnt(path: Path, task: int, stamp: Stamp) -> Tensor | None:
        """Return what a task showed when it was learnt; None, and a warning, where that is lost."""
        try:
            if path.exists():
                return load_stamped(path, stamp)["images"]
            # Of earlier lgans: all tasks in one.
            older = load_stamped(path.with_name("learnt.pt"), stamp)["images"]
            return older[task] if task < len(older) else None
        except (DamagedFileError, FileNotFoundError):
            warn(f"{path} is damaged or gone: how far task {task} has drifted is not known.")
        return None

    @staticmethod
    def _write(path: Path, stamp: Stamp, **content: Tensor | list) -> None:
        save_tensors(path, content | {"stamp": stamp})

    def _save(self, drawn: list[Tensor], context: TaskContext, folder: Path) -> None:
        task, tasks = context.task, context.datamodule.sequence.tasks
        shown = 0 if shows_all(task) or task + 1 == len(tasks) else task  # the first task shown
        classes = [c for each in tasks[shown : task + 1] for c in each.classes]
        images, stem = to_uint8(torch.cat(drawn[shown:])), folder / f"task{task}"
        self._write(stem.with_suffix(".pt"), context.method.stamp, classes=classes, images=images)
        grid = make_grid(images.flatten(0, 1).float() / 255, nrow=self.per_class, padding=1)
        with atomic_path(stem.with_suffix(".png")) as path:
            save_image(grid, path, "png")
        log_image(context.loggers, "samples", grid, context.step)
