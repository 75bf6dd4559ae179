"""The door to data opens for one task at a time."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from lgan.data.augmentation import random_flip
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.digits import digits
from lgan.data.image_folder import image_folder
from lgan.data.images import FileImages, ImageSplits, TensorImages
from lgan.errors import ConfigError, TaskAccessError

Splits = Callable[..., ImageSplits]


def module(splits: Splits, **settings: Any) -> TaskSequenceDataModule:
    usual = {"classes_per_task": 2, "batch_size": 4, "steps": 5, "draws": 2, "seed": 0}
    return TaskSequenceDataModule(splits, "counted", **{**usual, **settings})


def test_the_open_task_only(make_splits: Splits) -> None:
    data = module(make_splits, class_order=[3, 1, 0, 2])
    info = data.open(1)
    assert info is data.info and (info.index, info.classes, data.opened) == (1, (0, 2), 1)
    assert info.task_classes == ((3, 1), (0, 2))
    assert info.images.labels.unique().tolist() == [0, 2]
    labels = {int(y) for item in data.train_dataloader() for part in item for y in part["y"]}
    assert labels == {0, 2}
    assert not {"training_images", "train_images"} & {*dir(data)}, "there is no other door"


def test_nothing_before_a_task_is_open(make_splits: Splits) -> None:
    data = module(make_splits)
    assert data.opened is None
    for ask in (lambda: data.info, data.train_dataloader):
        with pytest.raises(TaskAccessError, match=r"call open\(t\)"):
            ask()


def test_cumulative_opens_the_past_but_not_the_future(make_splits: Splits) -> None:
    data = module(make_splits, classes_per_task=1)
    info = data.open(2, cumulative=True)
    assert (info.index, info.classes) == (2, (2,))
    labels = {int(y) for item in data.train_dataloader() for part in item for y in part["y"]}
    assert labels == {0, 1, 2}
    assert info.images.labels.unique().tolist() == [0, 1, 2]
    assert data.open(2).images.labels.unique().tolist() == [2]


def test_held_out_pictures_are_open(make_splits: Splits) -> None:
    data = module(make_splits)
    data.open(0)
    assert len(data.validation_images(1)) == 4
    assert data.test_images(1).labels.tolist() == [2, 2, 2, 3, 3, 3]
    assert data.test_images_of((0, 3)).labels.tolist() == [0, 0, 0, 3, 3, 3]
    assert len(data.training_images_for_evaluation()) == 32


def test_what_it_tells(make_splits: Splits) -> None:
    data = module(make_splits, num_tasks=1)
    assert (data.num_classes, data.num_tasks, data.image_shape) == (4, 1, (1, 4, 4))
    assert data.class_names == ("c0", "c1", "c2", "c3")
    assert data.tasks[0].classes == (0, 1) == data.sequence.seen(0)
    assert data.name == "counted"


def test_setup_is_idempotent_and_passes_the_root(make_splits: Splits) -> None:
    roots = []

    def splits(root: str | None) -> ImageSplits:
        roots.append(root)
        return make_splits()

    data = module(splits, root="somewhere")
    data.setup("fit")
    data.setup()
    data.open(0)
    assert roots == ["somewhere"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 1025}, "training.batch_size=1025 .* 1024, with 32 training pictures"),
        (
            {"batch_size": 17, "allow_small": False},
            r"=false.* c0 \(8\), .* c3 \(8\): add",
        ),
        ({"classes_per_task": 3}, "data.classes_per_task=3 must divide the 4 classes"),
        ({"num_tasks": 3}, "data.num_tasks=3 must lie between 1 and 2"),
    ],
)
def test_wrong_settings_are_refused(make_splits: Splits, settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        module(make_splits, **settings).setup()


@pytest.mark.parametrize(
    ("in_memory", "limit_mb", "streams"),
    [
        (False, 2048, True),
        (True, 0, False),
        ("auto", 2048, False),
        # 20 pictures of 3 x 8 x 8 are 3,840 bytes
        ("auto", 3840 / 2**20, False),
        ("auto", 3839 / 2**20, True),
    ],
)
def test_files_are_decoded_into_memory_if_they_fit(
    folder: Path, in_memory: bool | str, limit_mb: float, streams: bool
) -> None:
    data = module(
        partial(image_folder, size=8),
        root=str(folder),
        in_memory=in_memory,
        memory_limit_mb=limit_mb,
        num_workers=2,
    )
    data.open(0)
    assert isinstance(data.splits.train, FileImages if streams else TensorImages)
    assert isinstance(data.splits.test, FileImages if streams else TensorImages)
    assert data.train_dataloader().num_workers == (2 if streams else 0)


def test_batches_become_floats(make_splits: Splits) -> None:
    x = torch.tensor([0, 127, 128, 255], dtype=torch.uint8).view(1, 1, 2, 2)
    y = torch.tensor([3])
    (part,) = module(make_splits).on_after_batch_transfer([{"x": x, "y": y}], 0)
    torch.testing.assert_close(part["x"].flatten(), torch.tensor([-1.0, -1 / 255, 1 / 255, 1.0]))
    assert part["y"] is y


class Recorder(L.LightningModule):
    """Keeps what it is given; can stop in the middle."""

    def __init__(self, stop_at: int = -1) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.seen: list = []
        self.stop_at = stop_at

    def training_step(self, batch: list, index: int) -> None:
        self.seen.append([part["x"].clone() for part in batch])

    def on_train_batch_end(self, outputs: object, batch: list, index: int) -> None:
        if index == self.stop_at:
            self.trainer.save_checkpoint(self.trainer.default_root_dir + "/stop.ckpt")

    def configure_optimizers(self) -> None:
        return None


def fit(data: TaskSequenceDataModule, model: Recorder, root: Path, ckpt: Path | None) -> list:
    L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(root),
    ).fit(model, datamodule=data, ckpt_path=ckpt, weights_only=True)
    return model.seen


@pytest.mark.filterwarnings("ignore")
def test_under_lightning_augmented_steps_are_the_same_after_a_resume(tmp_path: Path) -> None:
    def data() -> TaskSequenceDataModule:
        made = module(digits, augmentation=random_flip)
        made.open(1)
        return made

    whole = fit(data(), Recorder(stop_at=2), tmp_path, None)
    assert len(whole) == 5 and [len(item) for item in whole] == [2] * 5
    plain = [part["x"] for item in data().train_dataloader() for part in item]
    flipped = [
        not torch.equal((x + 1) * 127.5, p.float())
        for x, p in zip([x for item in whole for x in item], plain, strict=True)
    ]
    assert any(flipped)
    rest = fit(data(), Recorder(), tmp_path, tmp_path / "stop.ckpt")
    for a, b in zip(rest, whole[3:], strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_it_can_be_sent_to_other_processes() -> None:
    data = module(digits)
    data.open(1)
    copy = pickle.loads(pickle.dumps(data))
    assert copy.opened == 1
    assert torch.equal(copy.train_dataloader()[0][0]["x"], data.train_dataloader()[0][0]["x"])
