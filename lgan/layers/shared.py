"""A generator of which all tasks share everything but the last layers: fine-tuning's."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from lgan.layers.per_task import LifelongGenerator, PerTask


class SharedTrunk(LifelongGenerator):
    """A trunk that every task goes on training, under last layers of each task.

    What a finished task draws changes with the trunk: `bake` returns it as it now is.
    """

    @contextmanager
    def as_task(self, task: int) -> Iterator[None]:
        """Compute with a finished task's last layers, and the trunk as it now is."""
        layers = [layer for layer in self.layers() if isinstance(layer, PerTask)]
        for layer in layers:
            layer.shown = task
        try:
            yield
        finally:
            for layer in layers:
                layer.shown = -1

    def new_parameters(self, task: int) -> int:
        """Return the last layers' parameters, and with the first task the trunk's."""
        trunk = sum(p.numel() for p in self.network.parameters())
        heads = sum(super(SharedTrunk, self).new_parameters(t) for t in range(len(self.tasks)))
        return super().new_parameters(task) + (0 if task else trunk - heads)

    def convert_layer(self, layer: nn.Module) -> nn.Module:
        """Return the layer: it belongs to the trunk, as all but the last ones do."""
        return layer

    convert_other = convert_layer


class SharedNetwork(SharedTrunk):
    """A network that every task goes on training as a whole, its last layers too."""

    convert_last = SharedTrunk.convert_layer
