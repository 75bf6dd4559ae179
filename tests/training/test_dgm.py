"""Whole runs of DGM on the digits: exact retention, files, options, refusals."""

from __future__ import annotations

import pytest
import torch

from lgan.callbacks.masks import CumulateMasks
from lgan.errors import ConfigError
from lgan.files import load_tensors
from lgan.inference.load import load_run
from lgan.inference.sample import draw, sample_classes
from lgan.run.borders import load_border
from lgan.run.record import RunRecord
from lgan.training.train import train

pytestmark = pytest.mark.slow

FOUR = ["data.num_tasks=4", "training.steps=12", "evaluation.extractor=null"]


@pytest.mark.parametrize("method", ["dgm_w", "dgm_a"])
def test_old_images_stay_the_same_bits_over_four_tasks(configure, method) -> None:
    """With Adam, after training; and again after saving and loading."""
    folder = train(configure(f"method={method}", *FOUR))
    rows = RunRecord.load(folder).rows
    drawn = [[entry["digest"] for entry in row["retention"]] for row in rows]
    assert all(entry["exact"] and entry["max_drift"] == 0 for r in rows for entry in r["retention"])
    for task in range(4):
        assert len({digests[task] for digests in drawn[task:]}) == 1
    assert len(set(drawn[-1])) == 4
    sizes = [row["parameters"]["masked_weights"] for row in rows]
    assert sizes[0] < sizes[-1], "it has grown"
    learnt = load_tensors(folder / "samples" / "learnt0.pt")["images"]
    noise = load_tensors(folder / "samples" / "noise.pt")["noise"]
    method_again, _ = load_run(folder, 3)
    labels = torch.tensor([0, 1]).repeat_interleave(2)
    with torch.no_grad():
        images = method_again.eval().generate(noise[[0, 1]].flatten(0, 1), labels)
    assert torch.equal(images, learnt.flatten(0, 1))


def test_fine_tuning_of_the_same_network_is_not_exact(configure) -> None:
    folder = train(configure("method=sft", "network=dgm_w", "callbacks.evaluation=null"))
    assert not RunRecord.load(folder).rows[1]["retention"][0]["exact"]


def test_a_row_accounts_for_capacity_disk_and_masks(configure) -> None:
    rows = RunRecord.load(train(configure("method=dgm_w", "training.steps=20"))).rows
    first, second = rows
    assert set(first["capacity"]) == {"project", "convolutions.0"}
    for name, layer in second["capacity"].items():
        assert layer["reserved"] == first["capacity"][name]["reserved"] + layer["newly"]
        assert 0 <= layer["reused"] <= first["capacity"][name]["reserved"]
    assert second["disk"]["masks_packed_bits"] > first["disk"]["masks_packed_bits"]
    course = first["mask_evolution"]
    assert course["epochs"] == list(range(len(course["fractions"]))) and len(course["epochs"]) > 5
    assert all(sum(fractions) == pytest.approx(1) for fractions in course["fractions"])
    assert course["fractions"][0][5] == 1.0, "masks start at 1/2"


def test_capacity_is_logged_by_layer(configure) -> None:
    folder = train(configure("method=dgm_a", "callbacks.evaluation=null"))
    logged = (folder / "metrics.csv").read_text()
    row = RunRecord.load(folder).rows[1]
    reserved = row["capacity"]["project"]["reserved"]
    assert f"capacity/project/reserved,{float(reserved)}" in logged
    assert "disk/masks_packed_bits" in logged and "parameters/masked_weights" in logged


class OtherMasks(CumulateMasks):
    """A user's own."""

    def on_before_optimizer_step(self, *_: object) -> None:
        """Protect nothing."""


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (f"{__name__}.OtherMasks", "CumulateMasks"),
        ("lgan.callbacks.masks.CumulateMasks", "CumulateMasks"),
        ("lgan.callbacks.masks.FreezeFilterBank", "FreezeFilterBank"),
    ],
)
def test_a_second_protection_is_refused(configure, target, kind) -> None:
    own = [f"+callbacks.mine._target_={target}", f"trust=[{__name__.partition('.')[0]}]"]
    name = target.rpartition(".")[2]
    with pytest.raises(ConfigError, match=f"{name} is a kind of {kind}.*; remove it"):
        train(configure("method=dgm_w", *own))


@pytest.mark.parametrize(
    "options",
    [
        ["method.replay=per_class", "method.replay_source=set", "method.statistics=all"],
        ["method.real_total=8", "method.real_choice=herding", "preset=paper"],
        ["method.real_ratio=0.1", "method.replay_source=set", "method.sparsity_ratio=weights"],
        ["method.embedding_start=6", "data.classes_per_task=1", "method.reset_discriminator=false"],
    ],
)
def test_options_run(configure, options) -> None:
    record = RunRecord.load(train(configure("method=dgm_w", "callbacks.evaluation=null", *options)))
    assert record.complete and record.rows[1]["retention"][0]["exact"]
    real = any("real" in option for option in options)
    assert record.declaration.startswith("keeps real data") is real


def test_real_pictures_come_back_with_the_run(configure) -> None:
    folder = train(configure("method=dgm_a", "method.real_total=8", "callbacks.evaluation=null"))
    saved = load_border(folder / "checkpoints" / "task1.pt")["memory"]
    assert {key: len(kept) for key, kept in saved.items()} == {str(c): 2 for c in range(4)}
    method, _ = load_run(folder, 1)
    assert method.memory.counts == {0: 2, 1: 2, 2: 2, 3: 2}


def test_the_published_masks_can_be_had(configure) -> None:
    record = RunRecord.load(
        train(configure("method=dgm_a", "method.leak=paper", "callbacks.evaluation=null"))
    )
    assert record.complete
    with pytest.raises(ConfigError, match=r"method.leak=x must be one of"):
        train(configure("method=dgm_a", "method.leak=x"))


def test_a_network_that_cannot_grow_is_refused(configure) -> None:
    with pytest.raises(ConfigError, match="MLPGenerator declares no chain"):
        train(configure("method=dgm_w", "network=digits"))


def test_samples_of_any_task(configure) -> None:
    method, state = load_run(train(configure("method=dgm_w", "callbacks.evaluation=null")), 1)
    images = draw(method, sample_classes(state, 0), 3, seed=0)
    assert images.shape == (6, 1, 8, 8)
    assert not torch.equal(images[:3], images[3:])
