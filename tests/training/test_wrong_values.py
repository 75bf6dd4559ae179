"""Values that make no sense: each is refused before training, by a sentence that names its key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from lgan.errors import LganError, own_error
from lgan.launch.compose import config_path
from lgan.training import build
from lgan.training.fit import check_kinds, check_settings
from lgan.training.train import build_learner

FILE = Path(__file__).with_name("wrong_values.txt")
CASES = [line for line in FILE.read_text().splitlines() if not line.startswith("#")]
BASE = ("data=digits", "training.steps=2", "data.num_tasks=2", "evaluation=fast",
        "callbacks.progress=null", "trainer=cpu", "method=mergan_jtr")  # fmt: skip
OF_DGM = ("annealing", "sparsity", "real", "replay", "settle", "clip", "leak", "expansion",
          "statistics", "embedding")  # fmt: skip
DATA = {"data.splits.train_pairs": "photos", "data.splits.test_pairs": "photos"}


def keys_of(case: str) -> list[str]:
    return [override.split("=")[0].lstrip("+") for override in case.split()]


def overrides_of(case: str) -> list[str]:
    """Return the case's own overrides, and those of a tiny run that it leaves alone."""
    keys = keys_of(case)
    base = dict(override.split("=", 1) for override in BASE)
    if keys[-1].removeprefix("method.").startswith(OF_DGM) and "replay_" not in keys[-1]:
        base["method"] = "dgm_a"
    base["data"] = "photos" if "lifelong_gan" in case else DATA.get(keys[-1], base["data"])
    kept = [f"{key}={value}" for key, value in base.items() if key not in keys]
    return [*kept, *case.split()]


def prepare(overrides: list[str], cache: Path) -> None:
    """Do all that `lgan-train` does before it trains or writes."""
    places = [f"paths.cache={cache}", f"run_dir={cache}/run"]
    own = {override.split("=")[0] for override in overrides}
    places = [place for place in places if place.split("=")[0] not in own]
    with initialize_config_dir(config_path(), version_base="1.3"):
        config = compose("train", [*places, *overrides])
    check_kinds(config)
    check_settings(config)
    build_learner(config, build.build_datamodule(config))
    build.build_trainer_factory(config)()


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_and_its_key_is_named(case: str, tmp_path: Path) -> None:
    with pytest.raises((LganError, HydraException, OmegaConfBaseException)) as caught:
        prepare(overrides_of(case), tmp_path)
    said = str(own_error(caught.value) or caught.value)
    names = {name for key in keys_of(case) for name in (key, f"{key.replace('.', '/')}/")}
    assert any(name in said for name in names) or f"'{case.split('=')[0]}'" in said, said
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_the_run_that_the_cases_spoil_is_fine(tmp_path: Path) -> None:
    prepare(list(BASE), tmp_path)
