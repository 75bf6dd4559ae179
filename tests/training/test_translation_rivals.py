"""Whole tiny runs of the methods that go on training one translator."""

from __future__ import annotations

import pytest
import torch

from lgan.data.images import to_float
from lgan.files import load_tensors
from lgan.inference.load import load_run
from lgan.methods.base import LifelongGAN
from lgan.run.borders import load_border
from lgan.run.record import RunRecord
from lgan.training.train import train

pytestmark = pytest.mark.slow

SMALL = [
    "data=photos",
    "data.splits.train_pairs=8",
    "data.splits.test_pairs=4",
    "training.batch_size=2",
    "callbacks.evaluation=null",
]
PAIRED = [*SMALL, "network.generator.ngf=4", "network.discriminator.ndf=4"]
CODED = [
    *SMALL,
    "objective=bicyclegan",
    "network=bicycle64",
    "network.generator.translator.ngf=4",
    "network.generator.encoder.ndf=4",
    "network.discriminator.patch.ndf=4",
]
KINDS = {
    "distilled": ["method=lifelong_gan", *PAIRED],
    "distilled-code": ["method=lifelong_gan", *CODED],
    "distilled-whole": ["method=lifelong_gan", "method.last_layers=shared", *CODED],
    "ewc": ["method=ewc_gan", "method.fisher_samples=3", *PAIRED],
    "aligned": ["method=mergan_ra", *PAIRED],
    "aligned-code": ["method=mergan_ra", *CODED],
    "joint": ["method=joint", *PAIRED],
    "full-code": ["method=full", *CODED],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_ends_and_its_pictures_can_be_drawn_again(configure, kind) -> None:
    folder = train(configure(*KINDS[kind]))
    rows = RunRecord.load(folder).rows
    first, second = rows[1]["retention"]
    assert second["exact"]
    assert first["exact"] == (kind == "full-code"), "one network per task forgets nothing"
    learnt = load_tensors(folder / "samples/learnt1.pt")["images"]
    inputs = to_float(load_tensors(folder / "samples/noise.pt")["noise"])
    method, _ = load_run(folder, 1)
    with torch.no_grad():
        drawn = method.generate(inputs[1], torch.ones(len(inputs[1]), dtype=torch.int64))
    assert torch.equal(drawn, learnt.flatten(0, 1))


def test_paper_mode_is_another_picture_and_the_same_training(configure, tmp_path) -> None:
    states, pictures = [], []
    for mode in ("eval", "paper"):
        own = [f"training.test_mode={mode}", f"run_dir={tmp_path}/{mode}"]
        folder = train(configure("method=sft", *PAIRED, *own))
        states.append(load_border(folder / "checkpoints/task1.pt")["state"])
        pictures.append(load_tensors(folder / "samples/learnt1.pt")["images"])
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert not torch.equal(*pictures)


class Stop(Exception):
    """Stands for a crash."""


def test_resuming_inside_a_distilled_task_gives_the_same_bits(
    configure, tmp_path, monkeypatch
) -> None:
    overrides = [
        *KINDS["distilled"],
        "callbacks.checkpoint.every=2",
        "callbacks.losses.every=1",
    ]
    whole = train(configure(*overrides, f"run_dir={tmp_path}/whole"))
    config = configure(*overrides, f"run_dir={tmp_path}/broken")
    step = LifelongGAN.training_step

    def crash(self, *args):
        if (self.task_index, self.step) == (1, 3):
            raise Stop
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(LifelongGAN, "training_step", crash)
        with pytest.raises(Stop):
            train(config)
    resumed = train(config)
    ends = [load_border(f / "checkpoints/task1.pt")["state"] for f in (whole, resumed)]
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())
    logs = [sorted((folder / "metrics.csv").read_text().split()) for folder in (whole, resumed)]
    assert logs[0] == logs[1], "each number is logged once, whatever was in between"
