"""Four translation tasks cut from scikit-learn's two photographs: real pictures, no download.

A crop is a square window of one of the task's boxes, resized. The boxes of the test part lie in an
upright band of each photograph that no training box of any task touches, and inputs are made from
the crop alone: training and test pictures share no pixel, though neighbours look alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from lgan.arguments import Count, Whole
from lgan.data.images import ImageSplits, TensorImages
from lgan.data.picture_inputs import edges, grey, low_resolution, segments
from lgan.data.task_folders import require_names
from lgan.seeding import mix

Box = tuple[int, int, int, int]  # left, top, right, bottom: pixels of a photograph of 640 x 427

TEST_BANDS = {"china": (226, 450), "flower": (320, 480)}  # columns of test pictures alone

_FLAT = 18.0  # of 255: a crop whose grey values deviate less is sky or shadow, and is left out


@dataclass(frozen=True)
class PhotoTask:
    """What one task is cut from, and how its inputs are made."""

    photograph: str
    train: tuple[Box, ...]
    test: tuple[Box, ...]
    sides: tuple[int, ...]  # of the windows, in pixels of the photograph
    to_input: Callable[[Tensor], Tensor]  # from uint8 crops (N, 3, H, W) to the same


TASKS = {
    # The flower's petals, close.
    "edges_to_photo": PhotoTask(
        "flower", ((190, 100, 320, 335),), ((320, 100, 425, 335),), (56, 64, 80), edges
    ),
    # The pagoda's roofs and galleries.
    "grey_to_colour": PhotoTask(
        "china", ((66, 50, 226, 400),), ((226, 50, 350, 400),), (56, 64, 80), grey
    ),
    # Trees and the shore.
    "low_to_high": PhotoTask(
        "china",
        ((450, 200, 640, 427), (0, 335, 226, 427)),
        ((362, 270, 450, 427),),
        (56, 64, 80),
        low_resolution,
    ),
    # The flower before its leaves, from afar.
    "segments_to_photo": PhotoTask(
        "flower", ((90, 30, 320, 427),), ((320, 0, 480, 427),), (128, 144, 160), segments
    ),
}


def photos(
    root: str | None = None,
    size: Count = 64,
    tasks: Sequence[str] = tuple(TASKS),
    train_pairs: Count = 320,
    test_pairs: Count = 100,
    seed: Whole = 0,
) -> ImageSplits:
    """Cut uint8 pairs ``(6, size, size)``, input first, the same ones in every process.

    `root` is ignored. `tasks` names some of `TASKS`, in the order in which they are learned; there
    is no validation part. `seed` fixes the windows, independent of the run's.
    """
    require_names(tasks, TASKS)
    train = _cut(tasks, "train", train_pairs, size, seed)
    test = _cut(tasks, "test", test_pairs, size, seed)
    return ImageSplits("photos", train, train.subset(torch.arange(0)), test, tuple(tasks))


def windows(task: str, part: str, count: int, seed: int = 0) -> list[Box]:
    """Return windows that a task's crops are cut from, chosen with numpy's frozen stream."""
    source = TASKS[task]
    picture = _photographs()[source.photograph]
    boxes = source.train if part == "train" else source.test
    random = np.random.RandomState(mix("photos", seed, task, part) % 2**32)
    found: list[Box] = []
    while len(found) < count:
        window = _window(boxes, source.sides, random)
        if np.asarray(picture.crop(window).convert("L")).std() > _FLAT:
            found.append(window)
    return found


@lru_cache(maxsize=1)
def _photographs() -> dict[str, Image.Image]:
    bunch = load_sample_images()
    names = [name.replace("\\", "/").rsplit("/", 1)[-1].split(".")[0] for name in bunch.filenames]
    return {name: Image.fromarray(pixels) for name, pixels in zip(names, bunch.images, strict=True)}


def _window(boxes: Sequence[Box], sides: Sequence[int], random: np.random.RandomState) -> Box:
    areas = np.array([(right - left) * (low - top) for left, top, right, low in boxes])
    left, top, right, low = boxes[random.choice(len(boxes), p=areas / areas.sum())]
    side = sides[random.randint(len(sides))]
    x, y = random.randint(left, right - side + 1), random.randint(top, low - side + 1)
    return x, y, x + side, y + side


def _cut(tasks: Sequence[str], part: str, count: int, size: int, seed: int) -> TensorImages:
    pairs = []
    for task in tasks:
        picture = _photographs()[TASKS[task].photograph]
        # Cut first, then resized: no crop sees a pixel outside its window.
        crops = map(picture.crop, windows(task, part, count, seed))
        sized = (crop.resize((size, size), Image.Resampling.BICUBIC) for crop in crops)
        targets = torch.stack([pil_to_tensor(crop) for crop in sized])
        pairs.append(torch.cat((TASKS[task].to_input(targets), targets), 1))
    return TensorImages(torch.cat(pairs), torch.arange(len(tasks)).repeat_interleave(count))
