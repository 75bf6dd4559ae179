"""What a method knows of its objective."""

from collections.abc import Iterator
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor, nn

from lgan.data.tasks import TaskKind
from lgan.networks.factory import NetworkFactory
from lgan.seeding import Noise

Batch = dict[str, Any]
G = TypeVar("G", bound=nn.Module)
D = TypeVar("D", bound=nn.Module)


class Objective(Generic[G, D]):
    """What a GAN learns: losses of two players, as functions of networks (G, D), batch and noise.

    A network may also be a converted one, which has the plain one's parts.
    """

    task_kind: ClassVar[TaskKind]  # a generator's input: noise and classes, or pictures
    name: ClassVar[str] = ""  # as in `objective=name`, for messages
    batch_multiple: ClassVar[int] = 1  # a process's share of a batch must be a multiple of this
    needs_pairs: ClassVar[bool] = False  # whether each input picture must have its target
    autoencodes: ClassVar[bool] = False  # whether the generator learns from the pictures themselves
    turn: int = 0  # which of the task's steps of the discriminator this is; the method counts them
    varies: str = ""  # why a step is not the same work each time, on like batches; "": it is

    def networks(self, factory: NetworkFactory) -> NetworkFactory:
        """Return what builds the networks that the objective trains, by the data set's own."""
        return factory

    def check(self, generator: nn.Module, discriminator: nn.Module) -> None:
        """Raise if these plain networks do not fit; the generator is of the objective's kind."""

    def schedule(
        self, generator: G, batches: list[Batch], noise: Noise
    ) -> Iterator[tuple[str, Batch]]:
        """Yield (player, batch) by step: D's on each batch, then one generator step on the last."""
        for batch in batches:
            yield "discriminator", batch
        yield "generator", batches[-1]

    def loss(
        self, player: str, generator: G, discriminator: D, batch: Batch, noise: Noise
    ) -> Tensor:
        """Return the loss of "discriminator" or "generator", a scalar."""
        losses = {"discriminator": self.discriminator_loss, "generator": self.generator_loss}
        return losses[player](generator, discriminator, batch, noise)

    def discriminator_loss(
        self, generator: G, discriminator: D, batch: Batch, noise: Noise
    ) -> Tensor:
        """Return the discriminator's loss, a scalar; no gradient reaches the generator."""
        raise NotImplementedError

    def generator_loss(self, generator: G, discriminator: D, batch: Batch, noise: Noise) -> Tensor:
        """Return the generator's loss, a scalar."""
        raise NotImplementedError

    def reconstruct(self, generator: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Return what the generator makes of pictures (B, C, H, W); without an encoder, these."""
        return images

    def reset(self) -> None:
        """Forget what was gathered in a task; called when a new task starts."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state to save inside a task: nested dictionaries of tensors."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load what `state_dict` returned."""
