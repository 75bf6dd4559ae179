"""Whole tiny runs that translate photographs: retention, resuming, determinism, refusals."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from lgan.data.images import to_float
from lgan.errors import ConfigError
from lgan.files import load_tensors
from lgan.inference.export import choose_formats, describe, export
from lgan.inference.load import load_run
from lgan.inference.task_network import task_network
from lgan.inference.translate import Translation, list_pictures, plan, translate
from lgan.methods.base import LifelongGAN
from lgan.reports.collect import collect
from lgan.reports.grids import run_figure
from lgan.run.borders import load_border
from lgan.run.record import RunRecord
from lgan.training.train import train

pytestmark = pytest.mark.slow

SMALL = [
    "data=photos",
    "data.splits.train_pairs=8",
    "data.splits.test_pairs=4",
    "training.learning_rate=0.01",
    "training.batch_size=2",
    "evaluation.classifier_training.steps=5",
    "evaluation.samples_per_class=4",
]
PAIRED = [*SMALL, "network.generator.ngf=4", "network.discriminator.ndf=4"]
CYCLE = [
    *SMALL,
    "data.paired=false",
    "objective=cyclegan",
    "objective.pool_size=3",
    "network=cycle_resnet6",
    "network.generator.translator.ngf=4",
    "network.generator.translator.blocks=1",
    "network.discriminator.patch.ndf=4",
    "callbacks.evaluation=null",
]
FORGETS = ("sft", "sft_heads")
METHODS = (
    "piggyback_gan",
    "pure_factorization",
    "piggyback_mask",
    "progressive",
    "full",
    "full_half",
    "full_quarter",
    *FORGETS,
)


def final_state(folder) -> dict:
    return load_border(folder / "checkpoints/task1.pt")["state"]


def assert_same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for key in a:
        assert torch.equal(a[key], b[key]), key


def assert_same_pictures_when_loaded(folder, after: int) -> None:
    """What a run shows of each task is to the bit what it showed when the task was learnt."""
    inputs = to_float(load_tensors(folder / "samples/noise.pt")["noise"])
    method, _ = load_run(folder, after)
    method.eval()
    for task in range(after + 1):
        expected = load_tensors(folder / f"samples/learnt{task}.pt")["images"]
        labels = torch.full((len(inputs[task]),), task)
        with torch.no_grad():
            drawn = method.generate(inputs[task], labels)
        assert torch.equal(drawn, expected.flatten(0, 1)), task


@pytest.mark.parametrize("method", METHODS)
def test_a_run_leaves_what_it_promises(configure, method) -> None:
    folder = train(configure(f"method={method}", *PAIRED))
    record = RunRecord.load(folder)
    assert record.complete and record.method == method
    assert [len(row["metrics"]) for row in record.rows] == [1, 2]
    for entry in record.rows[1]["metrics"]:
        assert 0 <= entry["accuracy_generated"] <= 1
        assert entry["l1"] > 0 and -1 <= entry["ssim"] <= 1
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert {"config.yaml", "metrics.csv", "task0.pt", "task1.png", "noise.pt"} <= names
    first, second = record.rows[1]["retention"]
    assert second["exact"]
    assert first["exact"] == (method not in FORGETS)
    numbers = [row["metrics"][0] for row in record.rows]
    assert (numbers[0] == numbers[1]) == first["exact"], "measured on the same pictures"
    assert (first["digest"] == record.rows[0]["retention"][0]["digest"]) == first["exact"]
    if first["exact"]:
        assert_same_pictures_when_loaded(folder, 1)


def test_pictures_stay_the_same_bits_over_three_tasks(configure) -> None:
    """From a bank that has grown."""
    own = ["data.num_tasks=3", "callbacks.evaluation=null"]
    folder = train(configure("method=piggyback_gan", *PAIRED, *own))
    rows = RunRecord.load(folder).rows
    assert all(entry["max_drift"] == 0 for row in rows for entry in row["retention"])
    assert len({entry["digest"] for entry in rows[2]["retention"]}) == 3
    assert_same_pictures_when_loaded(folder, 2)


@pytest.mark.parametrize(
    "method", ["piggyback_gan", "piggyback_mask", "progressive", "full_half", "sft_heads"]
)
def test_unpaired_runs_keep_what_they_promise(configure, method) -> None:
    folder = train(configure(f"method={method}", *CYCLE, "training.steps=2"))
    first = RunRecord.load(folder).rows[1]["retention"][0]
    assert first["exact"] == (method not in FORGETS)
    if first["exact"]:
        assert_same_pictures_when_loaded(folder, 1)


GREY = [
    "data.splits.folders=[{name: one, direction: AtoB}, {name: two, direction: BtoA}]",
    "data.splits.size=32", "data.splits.channels=1", "data.augmentation.load_size=36",
    "training.steps=1", "training.batch_size=2", "evaluation.classifier_training.steps=5",
    "evaluation.samples_per_class=3", "evaluation=efficientnet",
]  # fmt: skip
GREY_NETWORKS = {
    "paired": ["network.generator.ngf=2", "network.generator.downs=5",
               "network.discriminator.ndf=2", "network.discriminator.n_layers=1"],
    "unpaired": ["network.generator.translator.ngf=2", "network.generator.translator.blocks=1",
                 "network.discriminator.patch.ndf=2", "network.discriminator.patch.n_layers=1"],
}  # fmt: skip


@pytest.mark.parametrize("layout", GREY_NETWORKS)
def test_grey_pictures_go_all_the_way(configure, tmp_path, layout) -> None:
    source = np.random.default_rng(0)
    for task, part, i in product(("one", "two"), ("train", "test"), range(4)):
        sides = source.integers(0, 256, (2, 40, 40), dtype=np.uint8)
        files = {part: np.hstack(sides), f"{part}A": sides[0], f"{part}B": sides[1]}
        for name, pixels in files.items():
            path = tmp_path / "data" / task / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    folder = train(configure(f"data={layout}_folders", f"data.root={tmp_path}/data",
                             "method=piggyback_gan", *GREY, *GREY_NETWORKS[layout]))  # fmt: skip
    rows = RunRecord.load(folder).rows
    assert rows[1]["metrics"][0]["fid_efficientnet_lite0"] > 0
    assert rows[1]["retention"][0]["exact"]
    network = task_network(*load_run(folder), task=0)
    assert network.shape == (1, 32, 32)
    chosen = plan(network, list_pictures(tmp_path / "data/one/testA"), tmp_path / "o", "pad", None)
    translate(Translation(network), chosen)
    with Image.open(tmp_path / "o/0.png") as written:
        assert (written.mode, written.size) == ("L", (40, 40))
    formats = choose_formats(["safetensors", "torch_export"], load_run(folder)[0])
    made = export(network, formats, tmp_path / "x")
    assert [row["difference"] for row in made.values()] == [0, 0]
    assert describe(network)["channels"] == 1
    assert run_figure(collect(folder).groups[0].runs[0]) is not None


class Stop(Exception):
    """Stands for a crash."""


@pytest.mark.parametrize("own", [PAIRED, CYCLE], ids=["pix2pix", "cyclegan"])
def test_resuming_gives_the_same_bits(configure, tmp_path, monkeypatch, own) -> None:
    """Crash inside both tasks; with the U-Net's dropout, and a pool that pictures come from."""
    overrides = [
        "method=piggyback_gan",
        "callbacks.checkpoint.every=2",
        "callbacks.losses.every=1",
        *own,
    ]
    overrides += ["callbacks.evaluation=null"]
    expected = train(configure(*overrides, f"run_dir={tmp_path}/whole"))
    config = configure(*overrides, f"run_dir={tmp_path}/broken")
    step = LifelongGAN.training_step

    def crash_in(task):
        def crash(self, *args):
            if (self.task_index, self.step) == (task, 3):
                raise Stop
            return step(self, *args)

        return crash

    for task in (0, 1):
        with monkeypatch.context() as patch:
            patch.setattr(LifelongGAN, "training_step", crash_in(task))
            with pytest.raises(Stop):
                train(config)
    resumed = train(config)
    assert_same(final_state(expected), final_state(resumed))
    digests = [RunRecord.load(folder).rows[1]["retention"] for folder in (expected, resumed)]
    assert digests[0] == digests[1]
    logs = [sorted((folder / "metrics.csv").read_text().split()) for folder in (expected, resumed)]
    assert logs[0] == logs[1], "each number is logged once, whatever was in between"


def test_same_seed_same_bits_other_seed_other_bits(configure, tmp_path) -> None:
    """`configure` leaves dropout on, as the network's default."""
    config = configure("method=piggyback_gan", *PAIRED)
    assert config.network.generator.dropout
    states = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        places = [f"seed={seed}", f"run_dir={tmp_path}/{name}", "callbacks.evaluation=null"]
        torch.manual_seed(len(states))  # what the process did before must not matter
        states.append(final_state(train(configure("method=piggyback_gan", *PAIRED, *places))))
    assert_same(states[0], states[1])
    key = next(key for key in states[0] if key.endswith("slab1"))
    assert not torch.equal(states[0][key], states[2][key])


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["method=mergan_jtr", *PAIRED], "replays need old inputs; method=mergan_ra"),
        (["method=dgr", *PAIRED], "its solver labels classes"),
        (["method=joint_classifier", *PAIRED], "there are no classes to tell apart"),
        (
            ["method=dgm_w", *SMALL],
            "method=dgm_w .*replays need classes; choose method=piggyback_gan",
        ),
        (["method=dgm_a", *SMALL], "method=dgm_a .*replays need classes"),
        (["method=sft", *PAIRED, "objective=acgan"], "makes pictures from noise and a class"),
        (["method=piggyback_gan", "objective=pix2pix"], "MLPGenerator makes them from noise"),
        (["method=sft", *PAIRED, "objective=cyclegan"], "network=cycle_resnet6"),
        (["method=sft", *SMALL, "network=cycle_resnet6"], "is a composite of several"),
    ],
)  # fmt: skip
def test_combinations_that_make_no_sense_are_refused_with_a_reason(
    configure, overrides, reason
) -> None:
    with pytest.raises(Exception, match=reason) as caught:
        train(configure(*overrides))
    cause = caught.value if isinstance(caught.value, ConfigError) else caught.value.__cause__
    assert isinstance(cause, ConfigError)
