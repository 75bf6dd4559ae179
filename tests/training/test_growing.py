"""Runs whose networks gain rows with each task's classes (data.capacity=grow)."""

from __future__ import annotations

import pytest
import torch

from lgan.errors import ConfigError
from lgan.inference.load import load_run
from lgan.launch.compose import compose_run
from lgan.methods.base import LifelongGAN
from lgan.run.borders import load_border
from lgan.run.identity import identity
from lgan.seeding import Noise
from lgan.training.runner import SequenceRunner
from lgan.training.train import train

GROW = ["data.capacity=grow", "training.steps=2"]


@pytest.mark.slow
def test_a_stop_changes_nothing_and_old_borders_load(configure, tmp_path, monkeypatch) -> None:
    """Stopped within the second of three tasks and begun again, the networks gain the same rows."""
    run = [*GROW, "method=ewc_gan", "method.fisher_samples=4", "method.accumulate=separate",
           "data.num_tasks=3", "callbacks.checkpoint.every=1"]  # fmt: skip
    whole = train(configure(*run))
    config = configure(*run, f"run_dir={tmp_path}/stopped")
    step = LifelongGAN.training_step

    def stop(self, *args):
        if (self.task_index, self.step) == (1, 1):
            raise KeyError("stop")
        return step(self, *args)

    with monkeypatch.context() as patch, pytest.raises(KeyError):
        patch.setattr(LifelongGAN, "training_step", stop)
        train(config)
    stopped = train(config)
    for task in range(3):
        states = [load_border(folder / "checkpoints" / f"task{task}.pt")["state"]
                  for folder in (whole, stopped)]  # fmt: skip
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(tensor, states[1][key]) for key, tensor in states[0].items())
        loaded, border = load_run(whole, task)
        rows = 2 * (task + 1)
        assert border["num_classes"] == 2 and border["structure"].get("num_classes", 2) == rows
        assert loaded.classify(torch.zeros(3, 1, 8, 8)).shape == (3, rows)
        labels = torch.tensor(loaded.seen_classes)
        assert loaded.sample(labels, Noise(0)).shape == (rows, 1, 8, 8)


def test_the_default_names_no_run() -> None:
    said, unsaid = (identity(compose_run(extra)) for extra in (["data.capacity=all"], []))
    assert said == unsaid and "data.capacity" not in said
    assert identity(compose_run(["data.capacity=grow"]))["data.capacity"] == "grow"


def test_a_task_of_more_classes_than_rows_is_refused_at_once(configure, monkeypatch) -> None:
    monkeypatch.setattr(SequenceRunner, "run", lambda self: None)
    config = configure("method=dgm_w", *GROW, "data.classes_per_task=[2,3,2]", "data.num_tasks=2")
    with pytest.raises(
        ConfigError, match=r"classes_per_task=3.*\[2, 3, 4\].*more than the 2 .*capacity=all"
    ):
        train(config)


def test_a_network_without_a_row_for_each_class_is_refused_at_once(configure) -> None:
    config = configure("method=sft", "network=dgm_dcgan", *GROW)
    with pytest.raises(ConfigError, match="network.generator=DGMGenerator.*labels=beside"):
        train(config)
