"""A finished run as a method: rebuilt from its config and the state after one of its tasks."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lgan.errors import RunError
from lgan.inference.task_network import find
from lgan.methods.base import LifelongGAN
from lgan.run import checkpoints
from lgan.run.borders import load_border
from lgan.run.folder import RunFolder
from lgan.run.record import FILE_NAME, RunRecord
from lgan.training.build import build_method


def load_run(
    path: str | Path, after: int | str | None = None, trust: Sequence[str] = ()
) -> tuple[LifelongGAN, dict]:
    """Load a run's method, in evaluation mode, as it was after a task; the data are not needed.

    Returned with it is the content of the border file without its tensors: `task`, `task_classes`,
    `class_names`, `image_shape`, `num_classes`. `after` is the task's number or name; None for the
    last finished one. `trust` names packages beside lgan's that the run may be built from; what the
    run's own config trusts does not count.
    """
    folder = RunFolder(path)
    config, after, stamp = folder.load_config(), finished_task(folder, after), {}
    file = folder.border(after)
    if (folder.path / FILE_NAME).exists():
        record = RunRecord.load(folder.path)
        record.check_config(config, folder.config)
        stamp = record.stamp
    border = load_border(file, partial(checkpoints.check_border, file, after, stamp))
    config.trust = list(trust)
    shape = tuple(border["image_shape"])
    method = build_method(config, shape, border["num_classes"], pretrained=False)
    checkpoints.restore(method, file, border)
    method.task_classes = [tuple(classes) for classes in border["task_classes"]]
    del border["state"]
    return method.eval(), border


def finished_task(folder: RunFolder, after: int | str | None) -> int:
    """Return a task's number, given by number or name, whose border is there; None: the last."""
    borders = folder.borders()
    if not borders:
        raise RunError(
            f"run={folder.path} has no finished task: it has no border file, checkpoints/task*.pt."
        )
    if after is None:
        return borders[-1]
    recorded = (folder.path / FILE_NAME).exists()
    names = dict(enumerate(RunRecord.load(folder.path).task_names if recorded else ()))
    kept = {task: names.get(task, str(task)) for task in borders}
    return find("after", after, kept, "has left no border file")
