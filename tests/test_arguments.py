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
    Positive,
    Share,
    Text,
    Weight,
    check_section,
    find,
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
        ("pathlib.Path.write_text", "is not among what lgan builds"),
        ("joblib.load", "is not among what lgan builds"),
        ("hydra.utils.get_method", "is not among what lgan builds"),
        ("lganother.thing", "is not among what lgan builds"),
        ("lgan.files.os.system", "is not among what lgan builds"),
        ("lgan.files.write_atomically", "is not among what lgan builds"),
        ("lgan.methods.saving.torch.save", "is not among what lgan builds"),
        ("lgan.networks.pretrained.Path.write_text", "is not among what lgan builds"),
        ("lgan.networks.pretrained.read_checkpoint", "is not among what lgan builds"),
        ("lgan.data.torchvision_sets.svhn", "is not among what lgan builds"),
        ("lgan.run.wandb_logger.LenientWandbLogger", "is not among what lgan builds"),
        ("torch.optim.adam.torch.load", "is not among what lgan builds"),
        ("builtins.eval", "is not among what lgan builds"),
        ("lgan.networks.nosuch.Nosuch", "cannot be had"),
    ],
)
@pytest.mark.parametrize("key", ["inner", "a.b", 1, "list"])
def test_only_what_belongs_to_a_section_is_built(path, said, key) -> None:
    inner: Any = {"_target_": path, "_partial_": True}
    made = OmegaConf.create({"network": {key: [[inner]] if key == "list" else inner}})
    with pytest.raises(ConfigError, match=rf"network\S+_target_={path} {said}"):
        check_section(made, "network")


def test_a_package_of_the_users_lends_its_trust_to_no_other(tmp_path, monkeypatch) -> None:
    package = tmp_path / "borrowed_things.py"
    package.write_text("import subprocess\nclass Own: pass\ndef own(): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    trust = ["borrowed_things"]
    assert find("borrowed_things.Own", "network", trust).__name__ == "Own"
    assert find("borrowed_things.own", "network", trust).__name__ == "own"
    with pytest.raises(ConfigError, match=r"trust=\[subprocess\]"):
        find("borrowed_things.subprocess.Popen", "network", trust)
    with pytest.raises(ConfigError, match=r"trust=\[borrowed_things\]"):
        find("borrowed_things.Own", "network")


def test_a_misspelt_setting_is_told_the_right_one() -> None:
    made = OmegaConf.create({"method": {"_target_": "lgan.methods.dgm.DGMa", "setle": 0.1}})
    with pytest.raises(
        ConfigError, match="method.setle is no setting here; there are .*did you mean settle"
    ):
        check_section(made, "method")


def test_parameters_without_annotation_take_anything() -> None:
    known, _ = parameters_of(lambda x, y=1: x)
    assert known == {"x": Any, "y": Any}
