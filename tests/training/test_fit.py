"""What goes together is known from a config alone, without data."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from lgan.cli.common import config_path
from lgan.errors import ConfigError
from lgan.training.fit import check_config

SHAPES = {"digits": ((1, 8, 8), 10), "mnist": ((1, 32, 32), 10), "photos": ((3, 64, 64), 4)}

CYCLE = ("data.paired=false", "network=cycle_resnet6", "objective=cyclegan")


def checked(data: str, *overrides: str, shape: Any = None) -> None:
    with initialize_config_dir(config_path(), version_base="1.3"):
        config = compose("train", [f"data={data}", *overrides])
    default, count = SHAPES[data]
    check_config(config, shape or default, count)


@pytest.mark.parametrize(
    ("data", "overrides"),
    [
        ("digits", ("method=dgm_w",)),
        ("mnist", ("method=dgm_a",)),
        ("mnist", ("method=full_half",)),
        ("photos", ("method=piggyback_gan",)),
        ("photos", ("method=lifelong_gan", "network=bicycle64", "objective=bicyclegan")),
    ],
)
def test_what_goes_together_passes(data: str, overrides: tuple[str, ...]) -> None:
    checked(data, *overrides)


@pytest.mark.parametrize(
    ("data", "overrides", "shape", "reason"),
    [
        (
            "photos",
            ("method=dgr",),
            None,
            "method=dgr .*pix2pix, which translates pictures: its solver",
        ),
        (
            "digits",
            ("method=lifelong_gan",),
            None,
            "method=lifelong_gan does not go with objective=acgan, which draws classes",
        ),
        ("photos", (), (3, 64, 40), "64x40 do not fit; both sides must be multiples of 64"),
        ("digits", ("network=mergan32",), None, "32x32 images but the data are 8x8"),
        ("digits", ("method=full_half", "network.generator.width=5"), None, "width=0.5"),
        ("digits", ("objective=pix2pix",), None, "pix2pix translates pictures, and .*MLPGenerator"),
        ("photos", ("data.paired=false",), None, "pix2pix learns from pairs, .*data.paired=false"),
        (
            "digits",
            ("network=unet64", "objective=pix2pix"),
            (3, 64, 64),
            "data=digits has classes to draw, and objective=pix2pix needs pictures to translate",
        ),
        (
            "photos",
            ("network=bicycle64", "objective=bicyclegan", "training.batch_size=3"),
            None,
            "training.batch_size=3: objective=bicyclegan needs a multiple of 2",
        ),
        ("digits", ("method=joint_classifier", "method.init_from=a.pth"), None, "no generator"),
        ("digits", ("method=piggyback_gan", "selection=paper"), None, "needs a classifier over"),
        ("digits", ("method=dgm_w", "network=digits"), None, "MLPGenerator declares no chain"),
        ("photos", ("method=ewc_gan", *CYCLE), None, "a composite of forward_ and backward_"),
    ],
)
def test_what_does_not_is_refused(data: str, overrides: Any, shape: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        checked(data, *overrides, shape=shape)


@pytest.mark.parametrize(
    ("data", "overrides", "said"),
    [
        ("digits", "network.generator.width=0", "a whole number of at least 1"),
        ("digits", "network.generator.z_dim=1.5", "a whole number of at least 1"),
        ("mnist", "network.generator.statistics=running", "one of class, batch"),
        ("mnist", "objective.penalty_weight=-1", "a number of at least 0"),
        ("photos", "network.generator.downs=4", "a whole number of at least 5"),
        ("photos", "network.generator.ngf=0", "a whole number of at least 1"),
        ("photos", "network.generator.norm=layer", "one of batch, instance, none"),
        ("photos", "network.discriminator.n_layers=0", "a whole number of at least 1"),
        ("photos", "objective.l1_weight=-1", "a number of at least 0"),
        ("photos", "objective.d_weight=nan", "a number of at least 0"),
        ("photos", "training.rate_schedule.constant_share=1.5", "at least 0 and at most 1"),
        ("photos", "objective=cyclegan objective.pool_size=-1", "a whole number of at least 0"),
        ("photos", "objective=cyclegan objective.cycle_weight=-1", "a number of at least 0"),
        ("photos", "objective=bicyclegan objective.kl_weight=-1", "a number of at least 0"),
        ("photos", "objective=bicyclegan objective.adversarial.scale=0", "a number of more than 0"),
        ("digits", "evaluation.classifier.width=12", "at least 8 and a multiple of 8"),
    ],
)
def test_values_of_networks_and_objectives_are_held_against_annotations(
    data: str, overrides: str, said: str
) -> None:
    key = overrides.split()[-1]
    with pytest.raises(ConfigError, match=f"{re.escape(key)} must be .*{said}"):
        checked(data, *overrides.split())
