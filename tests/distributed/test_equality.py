"""Two ranks with half a batch each learn what one rank learns with the whole batch.

Every method and objective takes a few steps of plain gradient descent over two tasks, on networks
without batch statistics and dropout; a wrong share or weight of a loss shows in the weights.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from unittest.mock import patch

import pytest
import ranks
import torch
import warm
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from torch import nn

from lgan.cli.common import config_path
from lgan.run.borders import load_border
from lgan.run.record import RunRecord
from lgan.training import build
from lgan.training.train import train

pytestmark = pytest.mark.slow

PLAIN = ["~optimizer.betas", "optimizer._target_=torch.optim.SGD", "training.learning_rate=0.02"]
BASE = [
    "data.num_tasks=2",
    "training.steps=3",
    "callbacks.progress=null",
    "callbacks.samples.per_class=2",
    "evaluation=fast",
    "threads=1",
    *PLAIN,
]
NO_EVALUATION = ["callbacks.evaluation=null", "callbacks.samples=null"]
# Three old classes share ten replays: nine, which two ranks cannot share evenly.
DIGITS = [*BASE, *NO_EVALUATION, "data=digits", "data.classes_per_task=[3,2]"]
UNEVEN = [*DIGITS, "training.batch_size=10"]
PHOTOS = [
    *BASE, *NO_EVALUATION, "data=photos", "data.splits.train_pairs=8", "data.splits.test_pairs=4",
    "training.batch_size=4",
]  # fmt: skip
SMALL_UNET = ["network.generator.ngf=4", "network.discriminator.ndf=4"]
SMALL_CYCLE = [
    "data.paired=false", "objective=cyclegan", "objective.pool_size=3", "network=cycle_resnet6",
    "network.generator.translator.ngf=4", "network.generator.translator.blocks=1",
    "network.discriminator.patch.ndf=4",
]  # fmt: skip
SMALL_BICYCLE = [
    "objective=bicyclegan", "network=bicycle64", "network.generator.translator.ngf=4",
    "network.generator.encoder.ndf=4", "network.discriminator.patch.ndf=4",
]  # fmt: skip
DGM = [*UNEVEN, "method.annealing.epochs=3"]
# Norms of single pictures make a rounding error grow a hundredfold per step of 0.02.
SLOW = ["training.learning_rate=0.001", "training.steps=2"]
CASES = {
    "evaluated": [*BASE, "data=digits", "training.batch_size=10"],
    "sft": [*UNEVEN, "method=sft"],
    "sft_hinge": [*UNEVEN, "method=sft", "objective=acgan_hinge"],
    "joint": [*UNEVEN, "method=joint"],
    "joint_classifier": [*UNEVEN, "method=joint_classifier"],
    "icarl": [*UNEVEN, "method=icarl", "method.real_total=30"],
    "rwalk_s": [
        *UNEVEN, "method=rwalk_s", "method.window=2", "method.replay=balanced",
        "method.strength=0.1",
    ],
    "dual_memory": [*UNEVEN, "method=dual_memory", "method.n_stm=1"],
    "per_task": [*UNEVEN, "method=per_task"],
    "dgr": [*UNEVEN, "method=dgr"],
    "ewc_gan": [
        *UNEVEN, "method=ewc_gan", "method.ewc_weight=100", "method.fisher_samples=40",
        "method.fisher_batch=8",
    ],
    "jtr_code": [*UNEVEN, "method=mergan_jtr"],
    "jtr_paper": [*UNEVEN, "method=mergan_jtr", "method.penalise_replay=true"],
    "jtr_drawn": [*UNEVEN, "method=mergan_jtr", "method.drawn_share=0.5"],
    "ra_code": [*UNEVEN, "method=mergan_ra", "method.alignment_weight=0.1"],
    "ra_paper": [
        *UNEVEN, "method=mergan_ra", "method.alignment=paper", "method.alignment_weight=1",
    ],
    "dgm_w": [*DGM, "method=dgm_w"],
    "dgm_w_per_class": [*DGM, "method=dgm_w", "method.replay=per_class", "method.drawn_share=0.5"],
    "dgm_a_memory": [
        *DGM, "method=dgm_a", "method.replay_source=set", "method.real_total=30",
        "method.drawn_share=0.5",
    ],
    "piggyback_digits": [*UNEVEN, "method=piggyback_gan"],
    "mask_digits": [*UNEVEN, "method=piggyback_mask"],
    "full": [*PHOTOS, *SMALL_UNET, "method=full"],
    "piggyback": [*PHOTOS, *SMALL_UNET, "method=piggyback_gan"],
    "progressive": [*PHOTOS, *SMALL_UNET, "method=progressive"],
    "ewc_pictures": [
        *PHOTOS, *SMALL_UNET, "method=ewc_gan", "method.ewc_weight=100",
        "method.fisher_samples=8",
    ],
    "ra_pictures": [*PHOTOS, *SMALL_UNET, "method=mergan_ra", "method.alignment_weight=0.1"],
    "lifelong": [*PHOTOS, *SMALL_UNET, "method=lifelong_gan"],
    "cyclegan": [*PHOTOS, *SMALL_CYCLE, "method=piggyback_gan", *SLOW],
    "bicyclegan": [*PHOTOS, *SMALL_BICYCLE, "method=full", *SLOW],
    "lifelong_bicycle": [*PHOTOS, *SMALL_BICYCLE, "method=lifelong_gan", *SLOW],
}  # fmt: skip


def config_of(name: str, folder: Path, cache: Path, trainer: list[str]) -> DictConfig:
    places = [f"run_dir={folder / name}", f"paths.cache={cache}"]
    with initialize_config_dir(config_path(), version_base="1.3"):
        return compose("train", [*CASES[name], *trainer, *places])


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> tuple[Path, Path]:
    """Train every case on two ranks, in one pair of processes; return their folder and a cache."""
    folder, cache = tmp_path_factory.mktemp("two"), tmp_path_factory.mktemp("cache")
    ddp = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    for name in CASES:
        config = config_of(name, folder, cache, ddp)
        (folder / f"{name}.yaml").write_text(OmegaConf.to_yaml(config, resolve=True))
    command = [warm.python(), "-m", "torch.distributed.run", "--standalone",
               "--nproc-per-node=2", ranks.__file__, str(folder)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, cache


def states(folder: Path) -> list[dict[str, torch.Tensor]]:
    return [load_border(folder / f"checkpoints/task{t}.pt")["state"] for t in range(2)]


def first_weights(config: DictConfig) -> dict[str, torch.Tensor]:
    data = build.build_datamodule(config)
    return build.build_method(config, data.image_shape, data.num_classes).state_dict()


def deviation(before: dict, alone: dict, together: dict, player: str) -> float:
    """Return how far two results differ, in units of what was learnt since `before`."""
    learnt = apart = 0.0
    for key in (k for k, x in alone.items() if k.startswith(player) and x.is_floating_point()):
        start = before.get(key)
        known = start is not None and start.shape == alone[key].shape
        learnt += float((alone[key] - (start if known else 0)).square().sum())
        apart += float((alone[key] - together[key]).square().sum())
    return (apart / learnt) ** 0.5 if learnt else float(apart > 0)


@pytest.mark.parametrize("name", CASES)
def test_two_ranks_learn_what_one_learns(places, tmp_path, name) -> None:
    two, cache = places
    config = config_of(name, tmp_path, cache, ["trainer=cpu"])
    before = first_weights(config)
    with (
        ranks.without_batch_statistics(),
        patch.object(nn.Dropout, "forward", ranks.identity),
    ):
        train(config)
    for alone, together in zip(states(tmp_path / name), states(two / name), strict=True):
        assert alone.keys() == together.keys()
        for player in ("generator.", "discriminator."):
            assert deviation(before, alone, together, player) < 5e-4, player
        before = alone


def test_two_ranks_measure_what_one_measures(places, tmp_path) -> None:
    two, cache = places
    train(config_of("evaluated", tmp_path, cache, ["trainer=cpu"]))
    alone, together = (RunRecord.load(f / "evaluated").rows for f in (tmp_path, two))
    for one, other in zip(alone, together, strict=True):
        assert one["overall"].keys() == other["overall"].keys()
        assert one["overall"] == pytest.approx(other["overall"], rel=1e-2, abs=1e-3, nan_ok=True)
        assert [r["exact"] for r in one["retention"]] == [r["exact"] for r in other["retention"]]
        assert one["parameters"] == other["parameters"]
