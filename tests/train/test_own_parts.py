"""A network and an objective of a user's own, from a folder outside the package."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from lgan.cli.common import config_path
from lgan.errors import ConfigError
from lgan.run.folder import register_resolvers
from lgan.run.record import RunRecord
from lgan.training.fit import check_config
from lgan.training.train import train

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"
NETWORK = """
import torch
from torch import nn


class Generator(nn.Module):
    def __init__(self, image_shape, num_classes, width=64):
        super().__init__()
        self.z_dim, self.num_classes, self.image_shape = 5, num_classes, image_shape
        self.classes = nn.Embedding(num_classes, 5)
        self.inner, self.outer = nn.Linear(5, width), nn.Linear(width, image_shape.numel())

    def forward(self, z, y):
        x = torch.relu(self.inner(z + self.classes(y)))
        return torch.tanh(self.outer(x)).unflatten(1, self.image_shape)


class Discriminator(nn.Module):
    def __init__(self, image_shape, num_classes, width=64):
        super().__init__()
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(image_shape.numel(), width), nn.ReLU())
        self.heads = nn.ModuleList([nn.Linear(width, 1), nn.Linear(width, num_classes)])

    def forward(self, x):
        score, logits = (head(self.trunk(x)) for head in self.heads)
        return score.squeeze(1), logits


class Column(Discriminator):
    def forward(self, x):
        score, logits = super().forward(x)
        return score[:, None], logits


class Collapsing(Discriminator):
    def __init__(self, *args):
        super().__init__(*args)
        self.trunk.append(nn.BatchNorm1d(64))
""".replace("image_shape.numel()", "torch.Size(image_shape).numel()")
MAKES_SENSE = [
    *(
        "sft",
        "joint",
        "joint_classifier",
        "per_task",
        "full_half",
        "full_quarter",
        "ewc_gan",
        "dgr",
    ),
    *("mergan_jtr", "mergan_ra", "piggyback_gan", "pure_factorization", "piggyback_mask"),
    *("progressive", "sft_heads"),
]


@pytest.fixture
def compose_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what composes a config of digits with parts of one's own."""
    package, conf = tmp_path / "my_package", tmp_path / "my_conf"
    (package / "__init__.py").parent.mkdir()
    (package / "__init__.py").touch()
    (package / "networks.py").write_text(NETWORK)
    (conf / "network").mkdir(parents=True)
    (conf / "objective").mkdir()
    parts = {"generator": "Generator", "discriminator": "Discriminator"}
    lines = ["name: mine"]
    for role, kind in parts.items():
        lines += [f"{role}:", f"  _target_: my_package.networks.{kind}", "  _partial_: true"]
    (conf / "network/mine.yaml").write_text("\n".join(lines))
    section = CONTRIBUTING.read_text().partition("## An objective")[2].partition("\n## ")[0]
    for name, text in re.findall(r"`my_(\S+)`\n\n```\w+\n(.*?)```", section, re.S):
        (tmp_path / f"my_{name}").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    register_resolvers()

    def composed(*overrides: str) -> Any:
        own = [f"hydra.searchpath=[file://{conf}]", "trust=[my_package]"]
        small = ["training.steps=2", "data.num_tasks=2", "evaluation=fast", "trainer=cpu"]
        quiet = ["callbacks.progress=null", f"run_dir={tmp_path}/run", f"paths.cache={tmp_path}"]
        with initialize_config_dir(config_path(), version_base="1.3"):
            return compose("train", [*own, *small, *quiet, *overrides])

    yield composed
    for name in [n for n in sys.modules if n.split(".")[0] == "my_package"]:
        del sys.modules[name]


@pytest.mark.parametrize("method", MAKES_SENSE)
def test_a_plain_network_fits_every_method_that_makes_sense(compose_own, method: str) -> None:
    check_config(compose_own("network=mine", f"method={method}"), (1, 8, 8), 10)


@pytest.mark.parametrize("method", ["dgr", "full_half", "piggyback_gan"])
def test_a_plain_network_is_trained(compose_own, method: str) -> None:
    folder = train(compose_own("network=mine", f"method={method}"))
    assert RunRecord.load(folder).complete


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["method=lifelong_gan"], "it distils a translator"),
        (["network.generator._target_=my_package.networks.Discriminator"], "no attribute z_dim"),
        (["network.discriminator._target_=my_package.networks.Column"], r"returns \(32, 1\) where"),
        (
            ["network.discriminator._target_=my_package.networks.Collapsing", "data.batch_size=1"],
            "do not train on 1 pictures .*raise training.batch_size",
        ),
    ],
)
def test_what_does_not_fit_is_refused(compose_own, overrides: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        check_config(compose_own("network=mine", *overrides), (1, 8, 8), 10)


def test_the_objective_of_contributing_is_trained(compose_own) -> None:
    config = compose_own("objective=mode_seeking", "objective.diversity_weight=0.5", "method=dgr")
    assert RunRecord.load(train(config)).complete
    with pytest.raises(ConfigError, match="diversity_weight=-1 must be a number of at least 0"):
        check_config(
            compose_own("objective=mode_seeking", "objective.diversity_weight=-1"), (1, 8, 8), 10
        )
