"""A generator under masks that grows with its tasks: conversion, tasks, baking, accounts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from lgan.layers.generator import TaskGenerator
from lgan.layers.growth import LayerSize, Rule, code_rule, grown_by_units, grown_by_weights
from lgan.layers.masked import (
    MaskedLayer,
    TaskHead,
    TaskSpecific,
    UnitGate,
    UnitMaskedLayer,
    WeightMaskedLayer,
)
from lgan.layers.masks import TaskMasks
from lgan.layers.protocol import replace
from lgan.networks.chain import Link, chain_of
from lgan.networks.factory import noise_length
from lgan.networks.heads import ClassHead, Identity, SharedHead


@dataclass(frozen=True)
class Settings:
    """What a growing generator does at a border.

    Args:
        fill: initialises new weights in place.
        start: value of a later task's embeddings before training (the first task's is 0).
        rule: outputs to add to a layer (masks of weights only).
        seed: of new weights, norms and heads.
    """

    fill: Callable[[Tensor], None]
    start: float = 0.0
    rule: Rule = code_rule
    seed: int = 0


def _fresh_norm(width: int, classes: Sequence[int]) -> nn.Module:
    return nn.BatchNorm2d(width)


def _newly(masks: TaskMasks) -> int:
    """Return how many the last task reserved that no task before it had."""
    last = masks.finished - 1
    return int((masks.of(last).cpu() & ~masks.cumulated(tasks=last)).sum())


class GrowingGenerator(TaskGenerator):
    """A plain generator, converted: masked layers, a norm and a head for each task.

    Args:
        network: a plain generator that declares its `chain`; it is converted in place.
        settings: what happens at a border.
    """

    def __init__(self, network: nn.Module, settings: Settings) -> None:
        super().__init__(settings.seed)
        self.chain = chain_of(network)
        self.network, self.settings, self.z_dim = network, settings, noise_length(network)
        self._first = {link.units: self._outputs(link) for link in self.chain.links}
        self._convert()
        names = [link.layer for link in self.chain.links]
        self.layers = {n: cast(MaskedLayer, self.network.get_submodule(n)) for n in names}

    purpose: ClassVar[str] = "grow"

    # ----------------------------------------------------------------- what the masks are made of

    def convert_layer(self, link: Link, layer: Any) -> MaskedLayer:  # noqa: ANN401
        """Return the masked layer that takes over a plain one."""
        raise NotImplementedError

    @property
    def masks(self) -> dict[str, TaskMasks]:
        """The masks that are learnt, by the name of the layer or units they belong to."""
        raise NotImplementedError

    def next_widths(self) -> dict[str, int]:
        """Return the widths that the next task gets, after the last one was committed."""
        raise NotImplementedError

    # --------------------------------------------------------------------------------- the border

    @property
    def widths(self) -> dict[str, int]:
        """Width of all units as they now are."""
        return self.tasks[-1]["widths"] if self.tasks else self._first

    def described(self, classes: Sequence[int]) -> dict[str, Any]:
        """Return a further task's classes, and the width of all units that it gets."""
        widths = self.next_widths() if self.tasks else self._first
        return {"classes": list(classes), "widths": widths}

    def protect(self) -> None:
        """Take the gradients away from weights that older tasks use."""
        for layer in self.layers.values():
            layer.protect()

    def set_scale(self, scale: float) -> None:
        """Set s of the soft masks."""
        for masks in self.masks.values():
            masks.scale = scale

    # ---------------------------------------------------------------------------------- accounts

    def masked_weights(self) -> int:
        """Return the number of maskable weights."""
        return sum(layer.weight.numel() for layer in self.layers.values())

    def norms_and_heads(self) -> int:
        """Return the numbers kept in all tasks' norms and heads, running statistics included."""
        return sum(
            tensor.numel()
            for module in self.modules()
            if isinstance(module, TaskSpecific)
            for tensor in module.state_dict().values()
            if tensor.is_floating_point()
        )

    def numbers_of(self, task: int) -> dict[str, int]:
        """Return how many maskable weights a task added, room for later tasks included."""
        shapes = [layer.shapes for layer in self.layers.values()]
        before = sum(shape[task - 1].numel() for shape in shapes) if task else 0
        return {"weight": sum(shape[task].numel() for shape in shapes) - before}

    def capacity(self) -> dict[str, dict[str, int]]:
        """Return for each mask how much is reserved, new and reused after the last task."""
        after = self.next_widths()
        report = {}
        for name, masks in self.masks.items():
            task = masks.finished - 1
            new, old = masks.of(task).cpu(), masks.cumulated(tasks=task)
            units = next((k.units for k in self.chain.links if k.layer == name), name)
            report[name] = {
                "width": after[units],
                "trained_size": new.numel(),
                "reserved": int((new | old).sum()),
                "newly": int((new & ~old).sum()),
                "reused": int((new & old).sum()),
            }
        return report

    # ---------------------------------------------------------------------------------- internals

    def _convert(self) -> None:
        # The head comes last: it may read masks that are made with the layers.
        for link in self.chain.links:
            plain = self.network.get_submodule(link.layer)
            replace(self.network, link.layer, self.convert_layer(link, plain))
        for name in self.chain.norms:
            norm = self.network.get_submodule(name)
            replace(self.network, name, TaskSpecific(norm, _fresh_norm))
        for name, units in self.chain.identities.items():
            replace(self.network, name, self.convert_identity(units))
        head = cast(SharedHead | ClassHead, self.network.get_submodule(self.chain.head))
        replace(self.network, self.chain.head, self.convert_head(head))

    def convert_identity(self, units: str) -> nn.Module:
        """Return what stands where units pass unchanged."""
        return Identity()

    def convert_head(self, head: SharedHead | ClassHead) -> TaskHead:
        """Return the head of all tasks."""
        return TaskHead(head)

    def _outputs(self, link: Link) -> int:
        layer = self.network.get_submodule(link.layer)
        axis = int(isinstance(layer, nn.ConvTranspose2d))
        return cast(Tensor, layer.weight).shape[axis] // link.per_unit

    def start_task(self, task: int) -> None:
        """Widen the network and start the task on it: masks, norms and a head."""
        classes, widths = self.tasks[task]["classes"], self.tasks[task]["widths"]
        start = self.settings.start if task else 0.0
        for link, layer in zip(self.chain.links, self.layers.values(), strict=True):
            inputs = layer.weight.shape[layer.in_axis]
            if link.source is not None:
                inputs = widths[link.source]
            layer.grow(inputs, widths[link.units] * link.per_unit, self.settings.fill)
            layer.add_task(start)  # type: ignore[operator]
        for name, units in self.chain.norms.items():
            self._specific(name).add_task(widths[units], classes, False)
        width = widths[self.chain.head_source]
        self._specific(self.chain.head).add_task(width, classes, True)

    def _specific(self, name: str) -> TaskSpecific:
        return cast(TaskSpecific, self.network.get_submodule(name))


class WeightMaskedGenerator(GrowingGenerator):
    """DGMw: every weight has a mask. Takes the arguments of `GrowingGenerator`."""

    def convert_layer(self, link: Link, layer: Any) -> MaskedLayer:  # noqa: ANN401
        """Return the layer under masks of weights."""
        return WeightMaskedLayer(layer)

    @property
    def masks(self) -> dict[str, TaskMasks]:
        """The masks of weights by layer."""
        return {name: cast(WeightMaskedLayer, layer).masks for name, layer in self.layers.items()}

    def next_widths(self) -> dict[str, int]:
        """Return the widths by the rule, from the weights that the last task newly reserved."""
        sizes = {}
        for name, layer in self.layers.items():
            newly, shape = _newly(self.masks[name]), layer.shapes[-1]
            inputs, outputs = shape[layer.in_axis], shape[layer.out_axis]
            sizes[name] = LayerSize(inputs, outputs, layer.area, newly)
        return grown_by_weights(self.chain, sizes, self.widths, self.settings.rule)


class UnitMaskedGenerator(GrowingGenerator):
    """DGMa: every unit has a mask. Takes the arguments of `GrowingGenerator`.

    With `leak` it is the published scheme, whose masks act before the batch norm and leak.
    """

    def __init__(self, network: nn.Module, settings: Settings, leak: bool = False) -> None:
        self._leak = leak
        self._units: dict[str, TaskMasks] = {}
        super().__init__(network, settings)
        self.units = nn.ModuleDict({k.replace(".", "_"): m for k, m in self._units.items()})

    def convert_layer(self, link: Link, layer: Any) -> MaskedLayer:  # noqa: ANN401
        """Return the layer under the masks of the units it reads and makes."""
        makes = self._units.setdefault(link.units, TaskMasks())
        reads = None if link.source is None else self._units[link.source]
        return UnitMaskedLayer(layer, reads, makes, link.per_unit, self._leak)

    def convert_identity(self, units: str) -> nn.Module:
        """Return a gate: what passes a skip is under its own units' mask."""
        return Identity() if self._leak else UnitGate(self._units[units])

    def convert_head(self, head: SharedHead | ClassHead) -> TaskHead:
        """Return the head of all tasks, under the mask of the units it reads."""
        return TaskHead(head, None if self._leak else self._units[self.chain.head_source])

    @property
    def masks(self) -> dict[str, TaskMasks]:
        """The masks of units by the units' name."""
        return self._units

    def commit(self) -> None:
        """Binarise the units' masks too."""
        super().commit()
        for masks in self._units.values():
            masks.commit()

    def next_widths(self) -> dict[str, int]:
        """Return one unit more for each that the last task newly reserved."""
        newly = {name: _newly(masks) for name, masks in self._units.items()}
        return grown_by_units(newly, self.widths)

    def start_task(self, task: int) -> None:
        """Start the units' masks too."""
        super().start_task(task)
        device, start = next(self.parameters()).device, self.settings.start if task else 0.0
        for name, masks in self._units.items():
            masks.add_task((self.tasks[task]["widths"][name],), device, start)
