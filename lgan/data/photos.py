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
from torch.nn import functional as F  # noqa: N812
from torchvision.transforms.functional import pil_to_tensor

from lgan.arguments import Count, Whole
from lgan.data.images import ImageSplits, TensorImages
from lgan.data.tasks import require_names
from lgan.seeding import mix

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_FACTOR = 4  # of the low resolution
_EDGE = 10  # least step of grey per pixel, of 255, that is an edge

CENTRES = ((8, 26, 19), (7, 53, 50), (1, 83, 83), (181, 41, 8), (198, 122, 63), (225, 171, 111))
"""Colours of the segments: k-means (k = 6) of the flower photograph's training half."""

PALETTE = ((0, 0, 128), (0, 128, 128), (0, 200, 60), (200, 0, 0), (255, 128, 0), (255, 255, 0))
"""What the segments are painted in: labels, not likenesses."""


def grey(pictures: Tensor) -> Tensor:
    """Return the grey values, in all three channels."""
    return _luma(pictures).round_().to(torch.uint8).expand_as(pictures).contiguous()


def low_resolution(pictures: Tensor) -> Tensor:
    """Return each picture at a quarter of its size (means of squares), enlarged bilinearly."""
    small = F.interpolate(pictures.float(), scale_factor=1 / _FACTOR, mode="area")
    large = F.interpolate(small, pictures.shape[-2:], mode="bilinear", align_corners=False)
    return large.round_().to(torch.uint8)


def edges(pictures: Tensor) -> Tensor:
    """Return thin black edges on white: Canny's first steps with one threshold.

    Grey values are smoothed, Sobel's operator gives their gradient, and a pixel is an edge if the
    gradient is large, larger than at the neighbour on one side of the edge, and no smaller than at
    that on the other.
    """
    # Whole numbers and binary fractions in float64 are exact, so equal neighbours are equal.
    smooth = _smooth(_luma(pictures).round_().double())
    kernel = smooth.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    kernels = torch.stack((kernel, kernel.t()))[:, None]
    across, down = F.conv2d(_padded(smooth, 1), kernels).split(1, 1)
    size = across.square() + down.square()
    # The gradient's direction, to the nearest of four: 0, 45, 90 and 135 degrees.
    sector = torch.atan2(down, across).mul(4 / torch.pi).round().remainder(4)
    black = (size > _EDGE**2) & _is_ridge(size, sector)
    return black.logical_not().mul(255).to(torch.uint8).expand_as(pictures).contiguous()


def segments(pictures: Tensor) -> Tensor:
    """Return each pixel's class of colour, painted in the colour of a label."""
    smooth = _smooth(pictures.float())
    centres = torch.tensor(CENTRES, dtype=torch.float32)
    distances = [(smooth - c[:, None, None]).square().sum(1) for c in centres]
    classes = torch.stack(distances).argmin(0)
    return torch.tensor(PALETTE, dtype=torch.uint8)[classes].permute(0, 3, 1, 2).contiguous()


def _luma(pictures: Tensor) -> Tensor:
    weights = torch.tensor(_LUMA).view(1, 3, 1, 1)
    return (pictures.float() * weights).sum(1, keepdim=True)


def _padded(pictures: Tensor, by: int) -> Tensor:
    return F.pad(pictures, (by, by, by, by), mode="replicate")


def _smooth(pictures: Tensor) -> Tensor:
    """Apply a binomial filter of 5 x 5, about a Gaussian of standard deviation 1."""
    row = pictures.new_tensor([1, 4, 6, 4, 1]) / 16
    channels = pictures.shape[1]
    kernel = torch.outer(row, row).expand(channels, 1, 5, 5)
    return F.conv2d(_padded(pictures, 2), kernel, groups=channels)


def _is_ridge(size: Tensor, sector: Tensor) -> Tensor:
    """Return where `size` is a maximum in the direction of `sector`; of two equal, the first."""
    around, found = _padded(size, 1), torch.zeros_like(size, dtype=torch.bool)
    height, width = size.shape[-2:]
    for number, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead, behind = (
            around[..., 1 + y : 1 + y + height, 1 + x : 1 + x + width]
            for y, x in ((dy, dx), (-dy, -dx))
        )
        found |= (sector == number) & (size >= ahead) & (size > behind)
    return found


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
