"""Settings of methods and callbacks: those refused by what is annotated, and the defaults."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from pydoc import locate
from typing import Any

import pytest
from omegaconf import OmegaConf

from lgan.arguments import check_section, plain
from lgan.cli.common import config_path
from lgan.errors import ConfigError

REFUSED = {
    "lgan.methods.ewc.EWCGAN": [
        ("fisher_mode", "exact", "one of score, log_sigmoid, classifier"),
        ("accumulate", "all", "one of last, online, separate"),
        ("fisher_classes", "none", "one of task, seen"),
        ("fisher_samples", 0, "a whole number of at least 1"),
        ("fisher_batch", 0, "a whole number of at least 1"),
        ("ewc_weight", -1, "a number of at least 0"),
        ("seed", -1, "a whole number of at least 0"),
        ("test_mode", "train", "one of eval, paper"),
    ],
    "lgan.methods.mergan.MeRGANJTR": [
        ("replay_reduction", "whole", "one of sum, mean, mixture"),
        ("replay_samples", "some", "one of shared, full"),
    ],
    "lgan.methods.mergan.MeRGANRA": [
        ("alignment", "mse", "one of code, paper"),
        ("class_reduction", "max", "one of mean, sum"),
        ("alignment_weight", float("nan"), "a number of at least 0"),
    ],
    "lgan.methods.dgr.DGR": [
        ("ratio", 1.5, "a number of more than 0 and at most 1 or null"),
        ("noise_rows", 0, "a whole number of at least 1"),
    ],
    "lgan.methods.dgm.DGMa": [
        ("replay", "all", "one of balanced, per_class"),
        ("replay_source", "disk", "one of fly, set"),
        ("real_ratio", -0.1, "a number of at least 0 and at most 1 or null"),
        ("real_total", -1, "a whole number of at least 0 or null"),
        ("expansion", "none", "one of code, paper"),
        ("new_weights", "zero", "one of normal, xavier"),
        ("statistics", "none", "one of classifier, all"),
        ("sparsity_ratio", "x", "one of units, weights, none"),
        ("sparsity_weight", -1, "a number of at least 0"),
        ("settle", 1, "a number of at least 0 and less than 1"),
        ("clip", -1, "a number of more than 0"),
        ("embedding_start", float("nan"), "a number"),
        ("leak", "some", "one of none, paper"),
    ],
    "lgan.methods.lifelong_gan.Distillation": [
        ("beta", -1.0, "a number of at least 0"),
        ("auxiliary", ["mosaic"], "a list, each entry one of montage, swap"),
        ("last_layers", "some", "one of per_task, shared"),
        ("patch", 0, "a whole number of at least 1"),
    ],
    "lgan.methods.per_task.PerTask": [("width", 0, "a number of more than 0")],
    "lgan.callbacks.checkpoint.StepCheckpoint": [
        ("every", -1, "a whole number of at least 0"),
        ("share", 0, "a number of more than 0 and at most 1 or null"),
        ("share", 1.5, "a number of more than 0 and at most 1 or null"),
    ],
    "lgan.callbacks.guard.NaNGuard": [
        ("every", 0, "a whole number of at least 1"),
        ("limit", 0, "a number of more than 0 or null"),
    ],
    "lgan.callbacks.losses.LogLosses": [("every", 0, "a whole number of at least 1")],
    "lgan.callbacks.progress.SequenceProgress": [("every", 0, "a whole number of at least 1")],
    "lgan.callbacks.samples.FixedNoiseSamples": [
        ("per_class", 0, "a whole number of at least 1"),
        ("seed", "x", "a whole number of at least 0"),
    ],
    "lgan.callbacks.selection.SelectByValidation": [("every", 0, "a whole number of at least 1")],
    "lgan.callbacks.stop.StopOnSignal": [("every", 0, "a whole number of at least 1")],
}


@pytest.mark.parametrize(
    ("target", "name", "value", "right"),
    [(target, *case) for target, cases in REFUSED.items() for case in cases],
    ids=lambda value: str(value).rpartition(".")[2],
)
def test_a_senseless_setting_is_refused_by_its_key(
    target: str, name: str, value: Any, right: str
) -> None:
    section = "method" if target.startswith("lgan.methods") else "callbacks"
    config = OmegaConf.create({section: {"_target_": target, name: value}})
    with pytest.raises(ConfigError) as caught:
        check_section(config, section)
    shown = "nan" if value != value else OmegaConf.to_container(config)[section][name]
    assert str(caught.value) == f"{section}.{name}={shown} must be {right}."


SHIPPED = [
    Path(config_path(), "callbacks/default.yaml"),
    *Path(config_path()).glob("method/*.yaml"),
]
OTHERS = {"sparsity_weight", "new_weights", "alignment_weight", "solver"}
"""What configs say otherwise: it is for the shipped networks, or for MNIST."""


def targets(section: Any) -> Iterator[Any]:
    if OmegaConf.is_dict(section):
        keys = [
            k for k in section if k not in OTHERS and not OmegaConf.is_interpolation(section, k)
        ]
        if "_target_" in section:
            yield OmegaConf.masked_copy(section, keys)
        for key in keys:
            yield from targets(section[key])


def defaults(kind: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__[:-1]):
        if base.__module__.startswith("lgan."):
            found |= {n: p.default for n, p in inspect.signature(base.__init__).parameters.items()}
    return {name: value for name, value in found.items() if value is not inspect.Parameter.empty}


@pytest.mark.parametrize("file", SHIPPED, ids=lambda path: path.stem)
def test_without_a_config_a_class_does_what_its_config_says(file: Path) -> None:
    for section in targets(OmegaConf.load(file)):
        known = defaults(locate(section._target_))
        said = {key: plain(section[key]) for key in section if key in known}
        does = {k: list(v) if isinstance(v, tuple) else v for k, v in known.items() if k in said}
        assert said == does, section._target_
