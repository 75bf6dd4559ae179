"""A network and an objective of a user's own, from a folder outside the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from contributing import examples, own_folder

from lgan.errors import ConfigError
from lgan.run.record import RunRecord
from lgan.training.fit import check_config
from lgan.training.train import train

NETWORK = examples("A network")
FURTHER = """

class Column(Discriminator):
    def forward(self, x):
        score, logits = super().forward(x)
        return score[:, None], logits


class Collapsing(Discriminator):
    def __init__(self, image_shape, num_classes, width=64):
        super().__init__(image_shape, num_classes, width)
        self.trunk.append(nn.BatchNorm1d(width))
"""
MAKES_SENSE = [
    "sft", "joint", "joint_classifier", "rwalk_s", "per_task", "full_half", "full_quarter",
    "ewc_gan", "dgr", "mergan_jtr", "mergan_ra", "piggyback_gan", "pure_factorization",
    "piggyback_mask", "progressive", "sft_heads",
]  # fmt: skip


@pytest.fixture
def compose_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what composes a config of digits with parts of one's own."""
    module = "my_package/networks.py"
    files = NETWORK | {module: NETWORK[module] + FURTHER} | examples("An objective")
    yield from own_folder(files, tmp_path, monkeypatch)


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
