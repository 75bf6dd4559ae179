"""Generators whose layers hold tensors of each task: what all such conversions share.

Conversion is in place: each module that owns tensors becomes a layer that starts with them. Every
task has its own last layers, and its own of all that is no linear layer or convolution.
"""

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Literal

from torch import Tensor, nn

from lgan.errors import ConfigError
from lgan.layers.generator import TaskGenerator
from lgan.layers.protocol import TaskLayer, TaskModules, replace
from lgan.networks.modes import having
from lgan.networks.roles import Translator

LINEAR = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
Linear = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
Start = Literal["first", "previous"]  # whose tensors a further task starts with


class LifelongLayer(TaskLayer):
    """A task-aware layer that is born in its first task."""

    def add_task(self) -> None:
        """Start a task; the one before it was committed."""
        raise NotImplementedError

    def numbers_of(self, task: int) -> dict[str, int]:
        """Return how many numbers a task added, by kind."""
        raise NotImplementedError


class PerTask(TaskModules, LifelongLayer):
    """A module of which each task has its own; a later task's starts as a copy.

    In accounts it is of `kind`. If `shared` there is the first task's only, frozen after it.
    """

    def __init__(
        self, module: nn.Module, start: Start = "first", kind: str = "norm", shared: bool = False
    ) -> None:
        super().__init__(module)
        self.start, self.kind, self.shared = start, kind, shared
        self.shown = -1  # the task whose module computes; -1: the current one's

    def add_task(self) -> None:
        """Start a task with a copy; of a shared module there is none."""
        if not self.shared:
            source = self.tasks[0 if self.start == "first" else -1]
            self.tasks.append(copy.deepcopy(source).requires_grad_(True).train(self.training))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Compute as the current task, or as the one that is shown."""
        return self.tasks[self.shown](*inputs)

    def bake(self, task: int) -> nn.Module:
        """Return a copy of a task's module, or of the shared one."""
        return super().bake(0 if self.shared else task)

    def numbers_of(self, task: int) -> dict[str, int]:
        """Return the module's parameters by kind, biases of linear layers and statistics apart."""
        if self.shared and task:
            return {}
        module, numbers = self.tasks[task], Counter[str]()
        for name, tensor in module.named_parameters():
            linear = isinstance(module.get_submodule(name.rpartition(".")[0]), LINEAR)
            is_bias = linear and name.rpartition(".")[2] == "bias"
            numbers["bias" if is_bias else self.kind] += tensor.numel()
        numbers["statistics"] = sum(b.numel() for b in module.buffers() if b.is_floating_point())
        return dict(numbers)


def owns_tensors(module: nn.Module) -> bool:
    """Return whether a module has parameters or buffers that are not its children's."""
    return any(t is not None for t in (*module._parameters.values(), *module._buffers.values()))


def owners(
    network: nn.Module, whole: Sequence[str], prefix: str = ""
) -> Iterator[tuple[str, nn.Module]]:
    """Yield by dotted name the outermost modules that own tensors, or are named in `whole`."""
    for child_name, child in network.named_children():
        name = f"{prefix}{child_name}"
        if name in whole or owns_tensors(child):
            yield name, child
        else:
            yield from owners(child, whole, f"{name}.")


def last_layers_of(network: nn.Module) -> tuple[str, ...]:
    """Return the dotted names of the last layers, of which each task has its own.

    A translator or its halves declare them; else it is the linear one that was registered last.
    """
    if isinstance(network, Translator) and network.last_layers:
        return network.last_layers
    halves = network.halves.values() if isinstance(network, Translator) else [""]
    if any(halves):
        return tuple(f"{h}.{n}" for h in halves for n in last_layers_of(network.get_submodule(h)))
    found = [name for name, module in network.named_modules() if isinstance(module, LINEAR)]
    if not found:
        raise ConfigError(
            f"network: a {type(network).__name__} has no linear layer and no convolution that "
            "tasks could share; choose another network or method."
        )
    return (found[-1],)


class LifelongGenerator(TaskGenerator):
    """A plain generator, converted in place: what tasks share is frozen once it was learnt."""

    def __init__(self, network: nn.Module, start: Start = "first", seed: int = 0) -> None:
        super().__init__(seed)
        if owns_tensors(network):
            raise ConfigError(
                f"network: {type(network).__name__} has parameters or buffers outside its layers, "
                "which would be shared by all tasks unprotected; move them into a module."
            )
        self.network, self.start = network, start
        self.last_layers = last_layers_of(network)
        for name, module in list(owners(network, self.last_layers)):
            linear = self.convert_layer if isinstance(module, LINEAR) else self.convert_other
            convert = self.convert_last if name in self.last_layers else linear
            replace(network, name, convert(module))  # type: ignore[arg-type]

    def convert_layer(self, layer: Linear) -> nn.Module:
        """Return what takes over a linear layer or convolution that is not a last one."""
        raise NotImplementedError

    def convert_last(self, layer: nn.Module) -> nn.Module:
        """Return what takes over a last layer."""
        return PerTask(layer, self.start, kind="last")

    def convert_other(self, layer: nn.Module) -> nn.Module:
        """Return what takes over a norm, or any other module that owns tensors."""
        return PerTask(layer, self.start)

    def start_task(self, task: int) -> None:
        """Make the tensors of a task after the first; those of the first were there before."""
        if task:
            for layer in self.layers():
                layer.add_task()

    def layers(self) -> Iterator[LifelongLayer]:
        """Yield each converted layer once."""
        return (m for m in self.network.modules() if isinstance(m, LifelongLayer))

    def numbers_of(self, task: int) -> dict[str, int]:
        """Return how many numbers a task added, by kind; batch norms' "statistics" among them."""
        total = Counter[str]()
        for layer in self.layers():
            total.update(layer.numbers_of(task))
        return {kind: count for kind, count in total.items() if count}


class SharedTrunk(LifelongGenerator):
    """Fine-tuning's: every task goes on training the trunk, under last layers of its own."""

    def as_task(self, task: int) -> AbstractContextManager[None]:
        """Compute with a finished task's last layers, and, as `bake`, the trunk as it now is."""
        return having((m for m in self.layers() if isinstance(m, PerTask)), shown=task)

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
