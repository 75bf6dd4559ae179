"""Evaluation classifiers: trained once on real images, or anew on generated ones.

The training is fixed, and the last weights are kept: no held-out image takes part in any choice.
"""

import functools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count, islice
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from lgan.arguments import Count, Positive
from lgan.cache import key_of, read_entry, write_entry
from lgan.data.images import Images, TensorImages, to_float
from lgan.networks.modes import random_devices
from lgan.progress import over
from lgan.seeding import mix

ClassifierFactory = Callable[[tuple[int, int, int], int], nn.Module]
Head = Callable[[Tensor], Tensor]  # images (B, C, H, W) in [-1, 1] to logits (B, num_classes)
RESIDENT_BYTES = 2 * 1024**3  # larger sets are read batch by batch


@dataclass(frozen=True)
class ClassifierTraining:
    """How an evaluation classifier is trained."""

    steps: Count = 600  # optimizer steps, whatever the size of the data set
    batch_size: Count = 64  # images per step, clipped to the number of images
    learning_rate: Positive = 1e-3  # Adam's, decayed to 0 along a cosine


@dataclass(frozen=True)
class TrainedClassifier:
    """A frozen classifier, in eval mode, and how good it is on all real test images."""

    module: nn.Module
    accuracy: float
    key: str  # its name in the record, architecture and content key (small_cnn-1f3a90c2)


def describe_factory(factory: ClassifierFactory) -> str:
    """Name a factory by what it calls and with which arguments, nested partials included."""
    if isinstance(factory, functools.partial):
        knobs = ", ".join(f"{name}={factory.keywords[name]!r}" for name in sorted(factory.keywords))
        return f"{describe_factory(factory.func)}{factory.args!r}({knobs})"
    return f"{factory.__module__}.{factory.__qualname__}"


def train_classifier(
    module: nn.Module,
    images: Images,
    settings: ClassifierTraining,
    seed: int,
    device: torch.device | str,
    title: str,
) -> nn.Module:
    """Train a fresh classifier in place and return it frozen, in eval mode, on `device`."""
    if images.num_bytes <= RESIDENT_BYTES:
        held = TensorImages(images.all(), images.labels) if images.in_files else images
        images = held.to(device)
    module.to(device).train()
    optimizer = torch.optim.Adam(module.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    batches = islice(_shuffled(len(images), settings.batch_size, seed), settings.steps)
    with torch.random.fork_rng(random_devices(torch.device(device))), torch.enable_grad():
        torch.manual_seed(mix(seed, "classifier", "training"))
        for indices in over(batches, title, settings.steps):
            x = to_float(images.take(indices).to(device))
            loss = F.cross_entropy(module(x), images.labels[indices].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return module.requires_grad_(False).eval()


def build_classifier(
    factory: ClassifierFactory, image_shape: tuple[int, int, int], num_classes: int, seed: int
) -> nn.Module:
    """Build a classifier on the CPU, its initial weights a function of `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(mix(seed, "classifier", "init"))  # no GPU's
        return factory(image_shape, num_classes)


def trained_once(
    factory: ClassifierFactory,
    train: Images,
    test: Images,
    num_classes: int,
    settings: ClassifierTraining,
    seed: int,
    cache_dir: Path,
    device: torch.device | str,
) -> TrainedClassifier:
    """Return the evaluation classifier of a data set, trained the first time it is asked for.

    ``cache_dir/classifiers`` keeps it by data, architecture, settings and seed.
    """
    module = build_classifier(factory, train.shape, num_classes, seed)
    shapes = [(name, tuple(tensor.shape)) for name, tensor in module.state_dict().items()]
    parts = (describe_factory(factory), shapes, sorted(asdict(settings).items()), seed)
    digest = key_of("classifier", parts, train.digest(), test.digest())
    words = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
    name = re.sub(words, "_", type(module).__name__).lower()
    key = f"{name}-{digest[:8]}"
    path = Path(cache_dir) / f"classifiers/{name}-{digest}.safetensors"
    if read_entry(path) is None:
        tqdm.write(
            f"training the evaluation classifier once, {settings.steps} steps "
            f"(evaluation.classifier_training.steps); it is kept in {path}",
            file=sys.stderr,  # of a sweep's job the log
        )
        train_classifier(module, train, settings, seed, device, "evaluation classifier")
        right = predict(module, test, device) == test.labels
        accuracy = right.double().mean().item()
        if read_entry(path) is None:  # else another process was first: its file is everyone's
            write_entry(path, module.state_dict(), {"accuracy": repr(accuracy), "key": key})
    if (entry := read_entry(path)) is not None:
        module.load_state_dict(entry[0])
        accuracy = float(entry[1]["accuracy"])
    return TrainedClassifier(module.requires_grad_(False).eval().to(device), accuracy, key)


def predict(
    classify: Head, images: Images, device: torch.device | str, among: Sequence[int] | None = None
) -> Tensor:
    """Return the most likely class of each image, int64 (N,) on the CPU; see `rank`."""
    return rank(classify, images, device, among, most=1).flatten()


@torch.no_grad()
def rank(
    classify: Head,
    images: Images,
    device: torch.device | str,
    among: Sequence[int] | None = None,
    most: int = 5,
    batch_size: int = 500,
) -> Tensor:
    """Return each image's most likely of K classes, best first, int64 (N, min(most, K)), CPU."""
    found = [torch.empty(0, dtype=torch.int64)]
    for indices in images.batches(batch_size):
        logits = classify(to_float(images.take(indices).to(device))).cpu()
        allowed = torch.arange(logits.shape[1]) if among is None else torch.tensor(among)
        # Of equal logits the class that comes first wins.
        order = logits[:, allowed].argsort(dim=1, descending=True, stable=True)
        found.append(allowed[order[:, :most]])
    return torch.cat(found)


def _shuffled(images: int, batch_size: int, seed: int) -> Iterator[Tensor]:
    """Yield batches of indices without end; an epoch is a permutation made from (seed, epoch)."""
    size = min(batch_size, images)
    for epoch in count():
        generator = torch.Generator().manual_seed(mix(seed, "classifier", "order", epoch))
        yield from torch.randperm(images, generator=generator).split(size)[: images // size]
