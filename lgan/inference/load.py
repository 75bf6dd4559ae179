"""A finished run as a method: rebuilt from its config and the state after one of its tasks."""

from collections.abc import Sequence
from pathlib import Path

from lgan.errors import RunError
from lgan.files import load_tensors
from lgan.methods.base import LifelongGAN
from lgan.run.folder import RunFolder
from lgan.training.build import build_method


def load_run(
    path: str | Path, after: int | None = None, trust: Sequence[str] = ()
) -> tuple[LifelongGAN, dict]:
    """Load a run's method, in evaluation mode, as it was after a task; the data are not needed.

    Returned with it is the content of the border file without its tensors: `task`, `task_classes`,
    `class_names`, `image_shape`, `num_classes`.

    Args:
        path: the run's folder.
        after: index of the task; None for the last finished one.
        trust: packages beside lgan's that the run may be built from; what the run's own config
            trusts does not count.
    """
    folder = RunFolder(path)
    if not folder.config.exists():
        raise RunError(f"run={path} is not a run folder: it has no config.yaml.")
    finished = folder.finished_tasks()
    after = finished - 1 if after is None else after
    if not 0 <= after < finished:
        raise RunError(
            f"run={path} has {finished} finished tasks; after={after} is none of 0..{finished - 1}."
        )
    border = load_tensors(folder.border(after))
    config = folder.load_config()
    config.trust = list(trust)
    shape = tuple(border["image_shape"])
    method = build_method(config, shape, border["num_classes"], pretrained=False)
    method.load_border_state(border)
    method.task_classes = [tuple(classes) for classes in border["task_classes"]]
    del border["state"]
    return method.eval(), border
