"""Evaluation classifiers: learnt, frozen, cached by content, without touching global randomness."""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lgan.cache import read_entry, write_entry
from lgan.data.images import TensorImages
from lgan.metrics import classifier_training as ct
from lgan.metrics.classifier_training import ClassifierTraining, trained_once

SETTINGS = ClassifierTraining(steps=60, batch_size=16, learning_rate=0.05)


class TinyClassifier(nn.Module):
    """Linear; `dropout` makes its training draw from the global generators."""

    def __init__(
        self, image_shape: tuple[int, int, int], num_classes: int, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(image_shape[0] * image_shape[1] * image_shape[2], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.dropout(x.flatten(1)))


def stripes(count: int, seed: int) -> TensorImages:
    """Class c has row c bright."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    images = torch.randint(0, 60, (count, 1, 3, 3), generator=generator)
    images[torch.arange(count), 0, labels] += 150
    return TensorImages(images.to(torch.uint8), labels)


def train(folder: Path, factory=TinyClassifier, settings=SETTINGS, seed=0, data=None):
    data = data or stripes(30, 0)
    return trained_once(factory, data, stripes(15, 1), 3, settings, seed, folder, "cpu")


def test_learns_and_is_frozen(tmp_path: Path) -> None:
    classifier = train(tmp_path)
    assert classifier.accuracy == 1.0
    assert not classifier.module.training
    assert not any(p.requires_grad for p in classifier.module.parameters())
    assert classifier.key.startswith("tiny_classifier-")


def test_second_request_reads_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    first = train(tmp_path)
    said = capsys.readouterr().err
    assert f"training the evaluation classifier once, {SETTINGS.steps} steps" in said
    assert str(next((tmp_path / "classifiers").iterdir())) in said

    def refuse(*_: object) -> None:
        raise AssertionError("trained twice")

    monkeypatch.setattr(ct, "train_classifier", refuse)
    second = train(tmp_path)
    assert not capsys.readouterr().err, "nothing is trained, and nothing is said"
    assert (second.key, second.accuracy) == (first.key, first.accuracy)
    x = torch.randn(4, 1, 3, 3)
    assert torch.equal(first.module(x), second.module(x))
    assert not second.module.training and not second.module.linear.weight.requires_grad


def test_key_follows_data_architecture_settings_and_seed(tmp_path: Path) -> None:
    few = ClassifierTraining(steps=1)
    keys = [
        train(tmp_path, settings=few).key,
        train(tmp_path, settings=few, seed=1).key,
        train(tmp_path, settings=ClassifierTraining(steps=2)).key,
        train(tmp_path, settings=few, data=stripes(30, 9)).key,
        train(tmp_path, settings=few, factory=partial(TinyClassifier, dropout=0.2)).key,
    ]
    assert len(set(keys)) == 5
    assert train(tmp_path, settings=few).key == keys[0]
    assert len(list((tmp_path / "classifiers").iterdir())) == 5


def test_training_is_a_function_of_the_seed(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = train(tmp_path / "a")
    torch.manual_seed(2)
    second = train(tmp_path / "b")
    assert torch.equal(first.module.linear.weight, second.module.linear.weight)
    other = train(tmp_path / "c", seed=1)
    assert not torch.equal(first.module.linear.weight, other.module.linear.weight)


def test_global_generator_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_damaged_file_is_trained_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = train(tmp_path)
    (path,) = (tmp_path / "classifiers").iterdir()
    path.write_bytes(path.read_bytes()[:50])
    second = train(tmp_path)
    assert "cannot be read" in caplog.text
    assert torch.equal(first.module.linear.weight, second.module.linear.weight)
    assert read_entry(path) is not None


def test_a_racing_process_that_was_first_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path)
    (path,) = (tmp_path / "classifiers").iterdir()
    tensors, metadata = read_entry(path)
    path.unlink()
    original = ct.train_classifier

    def slow(*arguments: object) -> nn.Module:
        trained = original(*arguments)
        others = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
        write_entry(path, others, metadata | {"accuracy": "0.25"})
        return trained

    monkeypatch.setattr(ct, "train_classifier", slow)
    classifier = train(tmp_path)
    assert classifier.accuracy == 0.25
    assert classifier.module.linear.weight.abs().max() == 0
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_unwritable_cache_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert train(blocked).accuracy == 1.0
    assert "could not be written" in caplog.text


def test_every_epoch_uses_each_image_at_most_once() -> None:
    batches = list(islice(ct._shuffled(10, batch_size=4, seed=0), 7))
    assert all(len(batch) == 4 for batch in batches)
    for first, second in zip(batches[0:6:2], batches[1:6:2], strict=True):
        assert len(torch.cat([first, second]).unique()) == 8
    assert not torch.equal(batches[0], batches[2])


def test_predictions_choose_among_the_given_classes() -> None:
    images = stripes(3, 0)
    logits = torch.tensor([[3.0, 2.0, 1.0]])
    assert ct.predict(lambda x: logits.expand(len(x), -1), images, "cpu").tolist() == [0, 0, 0]
    found = ct.predict(lambda x: logits.expand(len(x), -1), images, "cpu", among=[2, 1])
    assert found.tolist() == [1, 1, 1]
