"""Tiny networks and methods that every area's tests share."""

from __future__ import annotations

import gc
import logging
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import composing  # noqa: F401  (Hydra composes faster)
import pytest
import torch
from borders import begin
from hydra import compose, initialize_config_dir
from lightning.fabric.utilities import registry
from omegaconf import DictConfig
from short_runs import SHORT
from torch import Tensor, nn

from lgan.cli.common import config_path
from lgan.methods.base import LifelongGAN
from lgan.networks.factory import NetworkFactory
from lgan.objectives.acgan import ACGAN
from lgan.objectives.adversarial import Wasserstein
from lgan.run.identity import register_resolvers
from lgan.training import fit

torch.set_num_threads(1)

ONE_WORKER = ("tests/distributed/test_equality.py", "tests/distributed/test_functions.py")
"""Files whose tests share what minutes were spent on: two workers would spend them twice."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal out single tests, but these files whole."""
    from xdist.scheduler import LoadScopeScheduling  # only where pytest-xdist runs

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return file if file in ONE_WORKER else nodeid

    return Scheduling(config, log)


@pytest.fixture(autouse=True, scope="session")
def _configs_can_be_composed() -> None:
    """By each test, whichever ran before it."""
    register_resolvers()


@pytest.fixture(autouse=True)
def _warnings_are_logged() -> None:
    """As from the start, also after a script's `main`, in which Hydra silences all loggers."""
    logging.root.setLevel(logging.WARNING)
    for name in [each for each in logging.root.manager.loggerDict if each.startswith("lgan")]:
        logging.getLogger(name).disabled = False


@pytest.fixture(scope="session", autouse=True)
def quick() -> Iterator[None]:
    """Spare this process what no test sees: the processes that tests start do it.

    Lightning looks through all installed packages for every task's Trainer, and a file waits for
    the disk to be safe from a power cut, of which there are tens of thousands. A step of the same
    objective on the same networks is tried once, before hundreds of runs.
    """
    tried: set[bytes] = set()
    try_out = fit.try_out

    def try_once(method: LifelongGAN, size: int) -> None:
        networks, kind = method.networks, (method.has_generator, method.code_length)
        parts = [networks.generator, networks.discriminator, networks.image_shape]
        step = b""
        with suppress(pickle.PicklingError, AttributeError, TypeError):  # of a test's own
            step = pickle.dumps([*parts, networks.num_classes, method.objective, kind, size])
        if step not in tried:
            try_out(method, size)
            tried.update({step} - {b""})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "try_out", try_once)
        patch.setattr(registry, "entry_points", lru_cache(entry_points))
        patch.setattr(os, "fsync", os.fstat)  # which a closed file fails, too
        yield


def pytest_collection_finish() -> None:
    """Spare the garbage collector all that is imported."""
    gc.collect()
    gc.freeze()


class LinearGenerator(nn.Module):
    """Images that are linear in noise and class: everything about it can be worked by hand."""

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int, z_dim: int = 3) -> None:
        super().__init__()
        self.z_dim, self.num_classes, self.image_shape = z_dim, num_classes, image_shape
        pixels = image_shape[0] * image_shape[1] * image_shape[2]
        self.linear = nn.Linear(z_dim, pixels, bias=False)
        self.offset = nn.Embedding(num_classes, pixels)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return (self.linear(z) + self.offset(y)).unflatten(1, self.image_shape)


class LinearDiscriminator(nn.Module):
    """A linear score and linear class logits."""

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        pixels = image_shape[0] * image_shape[1] * image_shape[2]
        self.score, self.label = nn.Linear(pixels, 1), nn.Linear(pixels, num_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        flat = x.flatten(1)
        return self.score(flat).squeeze(1), self.label(flat)


@pytest.fixture
def networks() -> NetworkFactory:
    return NetworkFactory(LinearGenerator, LinearDiscriminator, (1, 2, 2), 4, seed=0)


@pytest.fixture
def make_method(networks: NetworkFactory) -> Callable[..., LifelongGAN]:
    """Return a maker of methods on the linear networks, two tasks of classes (0, 1) and (2, 3)."""

    def make(kind: type[LifelongGAN], **knobs: Any) -> LifelongGAN:
        method = kind(
            name="tiny",
            networks=networks,
            objective=ACGAN(Wasserstein()),
            optimizer=partial(torch.optim.Adam, lr=1e-2),
            **knobs,
        )
        return begin(method, 0, [(0, 1), (2, 3)])

    return make


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """Return a batch of the second task."""
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(6, 1, 2, 2, generator=generator) * 2 - 1
    return {"x": images, "y": torch.tensor([2, 3, 2, 3, 2, 3])}


@pytest.fixture
def shared_data() -> Path:
    """Return the folder of real data beside the repository, or skip."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real data beside the repository (../shared/data)")
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """Return a cache that all tests share, so that the classifier is trained once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def configure(tmp_path: Path, cache: Path) -> Callable[..., DictConfig]:
    """Return a composer of short digit runs in tmp_path."""

    def configure(*overrides: str) -> DictConfig:
        places = [f"paths.runs={tmp_path}/runs", f"paths.cache={cache}"]
        with initialize_config_dir(config_path(), version_base="1.3"):
            return compose("train", [*places, *SHORT, *overrides])

    return configure
