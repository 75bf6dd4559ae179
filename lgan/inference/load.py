"""A finished run as a method: rebuilt from its config and the state after one of its tasks."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lgan.errors import RunError
from lgan.methods.base import LifelongGAN
from lgan.run import checkpoints
from lgan.run.borders import load_border
from lgan.run.folder import RunFolder
from lgan.run.record import FILE_NAME, RunRecord
from lgan.training.build import build_method


def load_run(
    path: str | Path, after: int | None = None, trust: Sequence[str] = ()
) -> tuple[LifelongGAN, dict]:
    """Load a run's method, in evaluation mode, as it was after a task; the data are not needed.

    Returned with it is the content of the border file without its tensors: `task`, `task_classes`,
    `class_names`, `image_shape`, `num_classes`. `after` is the task's index; None for the last
    finished one. `trust` names packages beside lgan's that the run may be built from; what the
    run's own config trusts does not count.
    """
    folder = RunFolder(path)
    if not folder.config.exists():
        raise RunError(f"run={path} is not a run folder: it has no config.yaml.")
    borders = folder.borders()
    after = borders[-1] if after is None and borders else after
    if after is None or after not in borders:
        there = f"those of tasks {', '.join(map(str, borders))}" if borders else "none"
        raise RunError(
            f"run={path} has no finished task{'' if after is None else f' after={after}'}: of the "
            f"border files, checkpoints/task*.pt, there are {there}."
        )
    file, config, stamp = folder.border(after), folder.load_config(), {}
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
