"""Linear translators on pictures of a few pixels: their methods can be worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from borders import begin
from torch import Tensor, nn

from lgan.methods.base import LifelongGAN
from lgan.networks.composite import (
    BicycleDiscriminator,
    BicycleGenerator,
    CycleDiscriminator,
    CycleGenerator,
)
from lgan.networks.factory import NetworkFactory
from lgan.networks.roles import PictureDiscriminator, Translator
from lgan.objectives.adversarial import LeastSquares
from lgan.objectives.bicyclegan import BicycleGAN
from lgan.objectives.cyclegan import CycleGAN
from lgan.objectives.pix2pix import Pix2Pix

SHAPE = (1, 4, 4)


class PixelTranslator(Translator):
    """G(z, y) = a z + b, and with a code + the code's sum; b is the last layer's."""

    last_layers = ("last",)

    def __init__(self, image_shape: Any, num_classes: int, **_: Any) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 1, 1, bias=False), nn.Conv2d(1, 1, 1)
        nn.init.constant_(self.first.weight, 2.0)
        nn.init.constant_(self.last.weight, 1.0)
        nn.init.constant_(self.last.bias, 0.5)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.last(self.first(z))


class CodedTranslator(PixelTranslator):
    def forward(self, z: Tensor, code: Tensor) -> Tensor:  # type: ignore[override]
        return self.last(self.first(z)) + code.sum(1)[:, None, None, None]


class MeanEncoder(nn.Module):
    """E(x): means e (mean of x) (1, 2), log variances 0."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.scale.weight, 1.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.scale(x.mean(dim=(1, 2, 3))[:, None]) * torch.tensor([1.0, 2.0])
        return mean, torch.zeros_like(mean)


class Coded(BicycleGenerator):
    def __init__(self, image_shape: Any, num_classes: int) -> None:
        encoder = lambda *_, **__: MeanEncoder()  # noqa: E731
        super().__init__(image_shape, num_classes, CodedTranslator, encoder, code_length=2)

    def forward(self, z: Tensor, y: Tensor | None = None, code: Tensor | None = None) -> Tensor:
        assert code is not None, "a code was left to torch's global state"
        return self.translator(z, code)


class PairScores(PictureDiscriminator):
    """D(x, z) = v x + w z, a score for each pixel."""

    conditional = True

    def __init__(self, image_shape: Any, num_classes: int) -> None:
        super().__init__()
        self.v, self.w = nn.Parameter(torch.tensor(3.0)), nn.Parameter(torch.tensor(-1.0))

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.v * x + self.w * z


class Scores(PictureDiscriminator):
    def __init__(self, *_: Any) -> None:
        super().__init__()
        self.v = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.v * x


KINDS: dict[str, tuple[Any, Any, Any]] = {
    "pix2pix": (Pix2Pix, PixelTranslator, PairScores),
    "bicyclegan": (BicycleGAN, Coded, partial(BicycleDiscriminator, patch=Scores)),
    "cyclegan": (
        CycleGAN,
        partial(CycleGenerator, translator=PixelTranslator),
        partial(CycleDiscriminator, patch=Scores),
    ),
}


@pytest.fixture
def make_translator() -> Callable[..., LifelongGAN]:
    """Return a maker of methods on linear translators, three tasks of one class each."""

    def make(
        kind: Any, objective: str = "pix2pix", begun: bool = True, **knobs: Any
    ) -> LifelongGAN:
        losses, generator, discriminator = KINDS[objective]
        method = kind(
            name="tiny",
            networks=NetworkFactory(generator, discriminator, SHAPE, 3, seed=0),
            objective=losses(LeastSquares()),
            optimizer=partial(torch.optim.Adam, lr=1e-2),
            **knobs,
        )
        method.task_classes = [(0,), (1,), (2,)]
        return begin(method, 0) if begun else method

    return make


@pytest.fixture
def pairs() -> dict[str, Tensor]:
    """Return a batch of pairs of the second task."""
    generator = torch.Generator().manual_seed(1)
    x, z = (torch.rand(4, *SHAPE, generator=generator) * 2 - 1 for _ in range(2))
    return {"x": x, "z": z, "y": torch.ones(4, dtype=torch.int64)}
