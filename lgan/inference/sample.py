"""`lgan-sample`: images from a finished run, without repeating its config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lgan.errors import ConfigError, RunError
from lgan.files import safe_name
from lgan.run.folder import RunFolder

if TYPE_CHECKING:
    from torch import Tensor

    from lgan.methods.base import LifelongGAN


def load_run(
    path: str | Path, after: int | None = None, trust: Sequence[str] = ()
) -> tuple[LifelongGAN, dict]:
    """Load a run's method as it was after a task; the data are not needed.

    Args:
        path: the run's folder.
        after: index of the task after which; None for the last finished one.
        trust: packages beside lgan's that the run may be built from; what the run's own config
            trusts does not count.

    Returns:
        The method in evaluation mode, and the content of the border file without its tensors:
        `task_classes`, `class_names`, `image_shape`, `num_classes`.

    Raises:
        RunError: the folder holds no run, or the task is not finished.
    """
    from lgan.files import load_tensors
    from lgan.training.build import build_method

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


def sample_classes(border: dict, task: int | None) -> list[int]:
    """Return the classes of one task, or of all tasks learnt.

    Raises:
        ConfigError: the task has not been learnt.
    """
    learnt = border["task_classes"][: border["task"] + 1]
    if task is None:
        return [c for classes in learnt for c in classes]
    if not 0 <= task < len(learnt):
        raise ConfigError(f"task={task} has not been learnt; choose 0..{len(learnt) - 1}.")
    return list(learnt[task])


def draw(method: LifelongGAN, classes: list[int], count: int, seed: int) -> Tensor:
    """Return `count` images of each class, uint8 (classes, count, C, H, W).

    Raises:
        RunError: the method has no generator.
    """
    import torch

    from lgan.data.images import to_uint8
    from lgan.seeding import Noise

    noise = Noise(seed)
    labels = torch.tensor(classes).repeat_interleave(count)
    with torch.no_grad():
        return to_uint8(method.sample(labels, noise)).unflatten(0, (len(classes), count))


def save_images(images: Tensor, names: list[str], output: Path) -> None:
    """Write one PNG per image into a folder per class, and a grid of all."""
    from torchvision.utils import save_image

    for name, rows in zip(names, images, strict=True):
        folder = output / safe_name(name)
        folder.mkdir(parents=True, exist_ok=True)
        for index, image in enumerate(rows):
            save_image(image.float() / 255, folder / f"{index:05d}.png")
    grid = images.flatten(0, 1).float() / 255
    save_image(grid, output / "grid.png", nrow=images.shape[1], padding=1)
