"""Generators whose layers hold tensors of each task: what all such conversions share.

A plain network is converted in place: each module that owns tensors is replaced by a layer that
starts in its first task with those tensors. What is not a linear layer or convolution (norms,
embeddings, ...), and the last layers, every task has its own of.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lgan.errors import ConfigError, RunError
from lgan.layers.protocol import TaskLayer, bake, replace, task_layers
from lgan.layers.task_modules import TaskModules
from lgan.networks.roles import Translator
from lgan.seeding import mix

LINEAR = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
"""Types of the layers that are more than norms."""

Linear = nn.Linear | nn.Conv2d | nn.ConvTranspose2d


def choice(key: str, value: str, allowed: Sequence[str]) -> str:
    """Return `value`.

    Raises:
        ConfigError: it is not among `allowed`.
    """
    if value not in allowed:
        raise ConfigError(f"{key}={value!r} is unknown; use {' or '.join(map(repr, allowed))}.")
    return value


class LifelongLayer(TaskLayer):
    """A task-aware layer that is born in its first task and told of each further one."""

    def add_task(self) -> None:
        """Start a task; the one before it was committed."""
        raise NotImplementedError

    def numbers_of(self, task: int) -> dict[str, int]:
        """Return how many numbers a task added, by kind."""
        raise NotImplementedError


class PerTask(TaskModules, LifelongLayer):
    """A module of which each task has its own; a later task's starts as a copy.

    Args:
        module: the first task's.
        start: whose copy a task starts with, the "first" or the "previous" task's.
        kind: what its weights are called in accounts, such as "norm".
        shared: there is only the first task's module, frozen (and in eval mode) after that task.
    """

    def __init__(
        self, module: nn.Module, start: str = "first", kind: str = "norm", shared: bool = False
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
    own = [*module._parameters.values(), *module._buffers.values()]
    return any(tensor is not None for tensor in own)


def owners(
    network: nn.Module, whole: Sequence[str] = (), prefix: str = ""
) -> Iterator[tuple[str, nn.Module]]:
    """Yield dotted name and module of the outermost modules that own tensors.

    Args:
        network: a plain network.
        whole: names of modules that are yielded as they are, whatever they own.
        prefix: of the names.
    """
    for child_name, child in network.named_children():
        name = f"{prefix}{child_name}"
        if name in whole or owns_tensors(child):
            yield name, child
        else:
            yield from owners(child, whole, f"{name}.")


def last_layers_of(network: nn.Module) -> tuple[str, ...]:
    """Return the dotted names of the last layers that each task has its own of.

    Those that a translator, or each of its halves, declares; where none are declared, the linear
    layer or convolution that was registered last.

    Raises:
        ConfigError: there is no such layer.
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


class LifelongGenerator(nn.Module):
    """A plain generator, converted: what tasks share is frozen after the task that learnt it.

    Args:
        network: a plain generator or translator; it is converted in place.
        start: whose copy norms and last layers start with, the "first" or the "previous" task's.
        seed: of the new tensors of later tasks.

    Raises:
        ConfigError: the network holds tensors of its own, outside its modules, or a layer that
            cannot be converted.
    """

    def __init__(self, network: nn.Module, start: str = "first", seed: int = 0) -> None:
        super().__init__()
        if owns_tensors(network):
            raise ConfigError(
                f"network: {type(network).__name__} has parameters or buffers outside its layers, "
                "which would be shared by all tasks unprotected; move them into a module."
            )
        self.network, self.seed = network, seed
        self.start = choice("method.start", start, ("first", "previous"))
        self.last_layers = last_layers_of(network)
        self.tasks: list[list[int]] = []
        self.committed = 0
        for name, module in list(owners(network, self.last_layers)):
            replace(network, name, self._converted(name, module))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Return what the converted network has, such as the two halves of CycleGAN's generator."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "network":
                raise
            return getattr(self.network, name)

    def convert_layer(self, layer: Linear) -> nn.Module:
        """Return what takes over a linear layer or convolution that is not a last one."""
        raise NotImplementedError

    def convert_last(self, layer: nn.Module) -> nn.Module:
        """Return what takes over a last layer."""
        return PerTask(layer, self.start, kind="last")

    def convert_other(self, module: nn.Module) -> nn.Module:
        """Return what takes over a norm, or any other module that owns tensors."""
        return PerTask(module, self.start)

    def add_task(self, classes: Sequence[int] = ()) -> None:
        """Start a task; the one before it was committed."""
        assert self.committed == len(self.tasks), "the last task was not committed"
        task = len(self.tasks)
        self.tasks.append(list(classes))
        if task:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(mix(self.seed, "layers", task))
                self.start_task(task)

    def start_task(self, task: int) -> None:
        """Make the tensors of a task after the first."""
        for layer in self.layers():
            layer.add_task()

    def commit(self) -> None:
        """Fix for good what the current task has learnt."""
        for layer in task_layers(self):
            layer.commit()
        self.committed = len(self.tasks)

    def bake(self, task: int) -> nn.Module:
        """Return the plain network of a task, in eval mode; it shares nothing."""
        return bake(self.network, task).eval()

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return what the current task's network makes of the inputs, z and y."""
        return self.network(*inputs)

    def structure(self) -> dict[str, Any]:
        """Return the tasks' classes and how many tasks are finished, as plain data."""
        return {"tasks": [list(t) for t in self.tasks], "committed": self.committed}

    def rebuild(self, structure: dict[str, Any]) -> None:
        """Give a fresh generator the shape of a saved one; its tensors are loaded afterwards.

        Raises:
            RunError: these settings give another shape.
        """
        for task, classes in enumerate(structure["tasks"]):
            self.add_task(classes)
            if task < structure["committed"]:
                self.commit()
        if self.structure() != structure:
            raise RunError(
                "the saved generator has other numbers of filters than these settings give; "
                "use the method's settings of the run it comes from."
            )

    def layers(self) -> Iterator[LifelongLayer]:
        """Yield each converted layer once."""
        return (m for m in self.network.modules() if isinstance(m, LifelongLayer))

    def numbers_of(self, task: int) -> dict[str, int]:
        """Return how many numbers a task added, by kind; batch norms' "statistics" among them."""
        total = Counter[str]()
        for layer in self.layers():
            total.update(layer.numbers_of(task))
        return {kind: count for kind, count in total.items() if count}

    def new_parameters(self, task: int) -> int:
        """Return how many parameters a task added, running statistics left out."""
        return sum(n for kind, n in self.numbers_of(task).items() if kind != "statistics")

    def stored_parameters(self, tasks: int | None = None) -> int:
        """Return the parameters kept after the first `tasks` tasks (None: all so far)."""
        tasks = len(self.tasks) if tasks is None else tasks
        return sum(map(self.new_parameters, range(tasks)))

    def _converted(self, name: str, module: nn.Module) -> nn.Module:
        if name in self.last_layers:
            return self.convert_last(module)
        if isinstance(module, LINEAR):
            return self.convert_layer(module)
        return self.convert_other(module)
