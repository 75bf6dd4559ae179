"""Does a classifier that learns from replays take every real picture for a current one?

`python -m benchmarks.heads scenes=DIR` writes an image folder of four scenes, out of scikit-learn's
photographs; `python -m benchmarks.heads RUN...` shows finished runs' classifiers real and drawn
pictures.
"""

import sys
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from lgan.data.images import to_float
from lgan.data.photos import photos
from lgan.inference.load import load_run
from lgan.run.folder import RunFolder
from lgan.seeding import Noise
from lgan.training.build import build_datamodule

SCENES = ("petals", "roofs", "shore", "trees")
DRAWN = 200  # pictures of each class


def write_scenes(root: Path, size: int = 32) -> None:
    """Write root/train/SCENE/*.png: all targets of `data=photos`, a class for each task.

    What is held out is then a random part of each scene: old ones are not unknown for another
    reason than that they are old.
    """
    splits = photos(size=size)
    for part in (splits.train, splits.test):
        for index, label in enumerate(part.labels.tolist()):
            folder = root / "train" / SCENES[label]
            folder.mkdir(parents=True, exist_ok=True)
            target = part.take(torch.tensor([index]))[0, 3:].permute(1, 2, 0)
            Image.fromarray(target.numpy()).save(folder / f"{len(part)}-{index:04}.png")


@torch.no_grad()
def judge(run: str) -> str:
    """Return a row: shares called right, by task, and those of old tasks called the newest's."""
    method, border = load_run(run)
    data = build_datamodule(RunFolder(run).load_config())
    data.setup("test")
    newest = border["task_classes"][-1]
    noise, cells = Noise(0), []
    right: dict[str, list[str]] = {"real": [], "drawn": []}
    taken: dict[str, list[float]] = {"real": [], "drawn": []}
    for task, classes in enumerate(border["task_classes"]):
        images = data.test_images(task)
        labels = torch.tensor(classes).repeat_interleave(DRAWN)
        found = {
            "real": (to_float(images.take(torch.arange(len(images)))), images.labels),
            "drawn": (method.sample(labels, noise), labels),
        }
        for kind, (pictures, truth) in found.items():
            said = _said(method.classify(pictures), border["task_classes"])
            right[kind].append(f"{(said == truth).float().mean():.2f}")
            if task < len(border["task_classes"]) - 1:
                taken[kind].append(float(torch.isin(said, torch.tensor(newest)).float().mean()))
    for kind in right:
        cells += [", ".join(right[kind]), f"{sum(taken[kind]) / len(taken[kind]):.2f}"]
    return f"| {Path(run).name} | {' | '.join(cells)} |"


def _said(logits: Tensor, tasks: list[list[int]]) -> Tensor:
    seen = torch.tensor([label for classes in tasks for label in classes])
    return seen[logits[:, seen].argmax(1)]


def main(arguments: list[str]) -> None:
    """Write scenes, or judge runs."""
    if arguments[0].startswith("scenes="):
        return write_scenes(Path(arguments[0].partition("=")[2]))
    print("| run | real, by task | old called newest | drawn, by task | old called newest |")
    print("|---|---|---:|---|---:|")
    for run in arguments:
        print(judge(run))
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
