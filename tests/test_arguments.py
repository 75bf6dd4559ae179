"""What annotations say of plain values, and the keys that errors name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest
from lightning.pytorch.strategies import DDPStrategy
from omegaconf import OmegaConf

from lgan.arguments import (
    Count,
    Fraction,
    Parameter,
    Positive,
    Share,
    Text,
    Weight,
    check_section,
    key_of,
    parameters_of,
    refusal,
)
from lgan.errors import ConfigError
from lgan.methods.dgm import DGMa

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("annotation", "good", "bad", "right"),
    [
        (Count, [1, 7], [0, -1, 2.5, 2.0, "3", None, True, NAN], "a whole number of at least 1"),
        (Count | None, [None, 1], [0, "x"], "a whole number of at least 1 or null"),
        (Weight, [0, 0.5, 3], [-1, NAN, INF, "x", None, False], "a number of at least 0"),
        (Positive, [1e-9], [0, INF], "a number of more than 0"),
        (Share, [0, 1, 0.5], [1.5, NAN, -0.1], "a number of at least 0 and at most 1"),
        (Fraction, [1, 0.1], [0], "a number of more than 0 and at most 1"),
        (bool, [True, False], ["maybe", 1, 0, None], "true or false"),
        (Text, ["a"], ["", 3, None], "a text"),
        (Literal["a", "b"], ["a"], ["c", 1, None], "one of a, b"),
        (Literal["auto"] | bool, ["auto", True], ["maybe", 1], "auto or true or false"),
        (Sequence[int], [[], [1]], [["a"], 3, [1.5]], "a list, each entry a whole number"),
        (Callable[..., int], [], [3], "a section"),
        (Any, [3, None, "x"], [], ""),
    ],
    ids=str,
)
def test_plain_values_are_held_against_their_annotation(annotation, good, bad, right) -> None:
    assert [refusal(annotation, value) for value in good] == [None] * len(good)
    for value in bad:
        assert (refusal(annotation, value) or "accepted").startswith(right), value


def test_two_numbers_are_a_list_of_two() -> None:
    assert refusal(tuple[Share, Share], [0, 0.9]) is None
    assert refusal(tuple[Share, Share], [0.9]).startswith("a list of 2: a number of at least 0")
    assert refusal(tuple[Share, Share], [2, 0.9]) is not None


def test_arguments_that_are_handed_on_are_those_of_the_classes_above() -> None:
    known, others = parameters_of(DGMa)
    assert {"leak", "settle", "replay", "seed"} <= set(known)
    assert not others
    assert known["name"].required and not known["leak"].required
    assert parameters_of(DDPStrategy)[1], "it wraps a network with the others"


def config(**section: Any):
    return OmegaConf.create({"training": {"steps": 0}, "mid": "${training.steps}", "part": section})


def test_the_key_is_the_one_that_a_user_sets() -> None:
    made = config(size="${mid}")
    assert key_of(made, "part.size") == "training.steps"
    assert key_of(made, "training.steps") == "training.steps"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("torch.load", "is not among what lgan builds"),
        ("os.system", "is not among what lgan builds"),
        ("lganother.thing", "is not among what lgan builds"),
        ("lgan.methods.sft.Nosuch", "cannot be had"),
    ],
)
def test_only_trusted_packages_are_built_from(path, said) -> None:
    made = OmegaConf.create({"part": {"inner": {"_target_": path}}})
    with pytest.raises(ConfigError, match=f"part.inner._target_={path} {said}"):
        check_section(made, "part")


def test_a_misspelt_setting_is_told_the_right_one() -> None:
    made = OmegaConf.create({"part": {"_target_": "lgan.methods.dgm.DGMa", "setle": 0.1}})
    with pytest.raises(
        ConfigError, match="part.setle is no setting here; did you mean part.settle"
    ):
        check_section(made, "part")


def test_parameters_without_annotation_take_anything() -> None:
    known, _ = parameters_of(lambda x, y=1: x)
    assert known == {"x": Parameter(Any, True), "y": Parameter(Any, False)}
