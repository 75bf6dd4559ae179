"""What a method knows of its objective."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor, nn

from lgan.seeding import Noise

Batch = dict[str, Any]


class Objective(Protocol):
    """What a GAN learns: losses of two players, as functions of networks, batch and noise."""

    @property
    def takes_pictures(self) -> bool:
        """Whether the generator's input is a picture (and not noise)."""
        ...

    def check(self, generator: nn.Module, discriminator: nn.Module) -> None:
        """Raise ConfigError if the networks do not fit."""
        ...

    def schedule(
        self, generator: nn.Module, batches: list[Batch], noise: Noise
    ) -> Iterator[tuple[str, Batch]]:
        """Yield (player, batch) for each optimizer step of one generator step."""
        ...

    def discriminator_loss(
        self, generator: nn.Module, discriminator: nn.Module, batch: Batch, noise: Noise
    ) -> Tensor:
        """Return the discriminator's loss, a scalar."""
        ...

    def generator_loss(
        self, generator: nn.Module, discriminator: nn.Module, batch: Batch, noise: Noise
    ) -> Tensor:
        """Return the generator's loss, a scalar."""
        ...

    def reset(self) -> None:
        """Forget what was gathered in a task."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the state to save inside a task."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load what `state_dict` returned."""
        ...
