"""Batches per second of lgan's loader against a plain torch DataLoader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median

from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from benchmarks.common import Row, compose, spread
from benchmarks.steps import seconds
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.images import Images, to_float
from lgan.training import build


class MappedImages(Dataset[tuple[Tensor, Tensor]]):
    """Pictures scaled one by one, as a torch data set with a transform gives them.

    Args:
        images: in memory.
    """

    def __init__(self, images: Images) -> None:
        self.pixels, self.labels = images.all(), images.labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one picture in [-1, 1] and its class."""
        return to_float(self.pixels[index]), self.labels[index]


def loading_rows(quick: bool) -> list[Row]:
    """Measure an epoch of both loaders in turns, scaling to float included."""
    batch, per_class, repetitions = 64, 1280, 5 if quick else 15
    steps = per_class // batch
    # A task is one class: both loaders see its pictures.
    own = ["data=mnist", f"training.batch_size={batch}", "training.critic_steps=1"]
    config = compose([*own, f"training.steps={steps}"], 32, per_class)
    datamodule = build.build_datamodule(config)
    datamodule.open(0)
    plain = DataLoader(
        MappedImages(datamodule.info.images), batch_size=batch, shuffle=True, drop_last=True
    )
    ours, theirs = _epochs(datamodule), _drain(lambda: iter(plain))
    ours()
    theirs()
    pairs = [
        (steps / seconds(ours), steps / seconds(theirs))
        for _ in tqdm(range(repetitions), desc="loading", unit="epoch")
    ]
    ratios = [a / b for a, b in pairs]
    mine, others = (median(side) for side in zip(*pairs, strict=True))
    measured = f"lgan {mine:.0f}, DataLoader {others:.0f} batches per second; {spread(ratios)}"
    ratio = median(ratios)
    return [Row(f"1x32x32 uint8 to float, batch {batch}", measured, ratio, ">= 1", ratio >= 1)]


def _epochs(datamodule: TaskSequenceDataModule) -> Callable[[], None]:
    """Return what reads all items of lgan's loader, new permutation included, as floats."""

    def items() -> Iterator[object]:
        for item in datamodule.train_dataloader():
            yield datamodule.on_after_batch_transfer(item, 0)

    return _drain(items)


def _drain(open_iterator: Callable[[], Iterator[object]]) -> Callable[[], None]:
    def drain() -> None:
        for _ in open_iterator():
            pass

    return drain
