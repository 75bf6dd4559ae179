"""A generator under masks that grows with its tasks, so that each has as much free room.

Source: Ostapenko et al. 2019, Sec. 4.3, and the official code (papers/dgm.md, section 3).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from lgan.layers import masked
from lgan.layers.generator import TaskGenerator
from lgan.layers.masked import MaskedLayer, TaskHead, TaskSpecific
from lgan.layers.masks import TaskMasks
from lgan.layers.protocol import replace
from lgan.networks.chain import Chain, Link, chain_of
from lgan.networks.heads import ClassHead, SharedHead

FLOAT, INT32, INT64 = 4, 4, 8  # bytes


@dataclass(frozen=True)
class LayerSize:
    """A layer as it was while the task was trained."""

    inputs: int  # channels
    outputs: int
    area: int  # weights per pair of input and output channel
    newly: int  # weights that the task reserved and no task before it had


Rule = Callable[[LayerSize, int], int]


def code_rule(layer: LayerSize, more_inputs: int) -> int:
    """Return a layer's further outputs, as the code counts: what its wider input adds is free."""
    gain = more_inputs * layer.outputs * layer.area
    return max(0, -(-(layer.newly - gain) // ((layer.inputs + more_inputs) * layer.area)))


def paper_rule(layer: LayerSize, more_inputs: int) -> int:
    """Return them as the paper counts: ceil(newly / weights per output), whatever the input's."""
    return -(-layer.newly // (layer.inputs * layer.area))


def grown_by_weights(
    chain: Chain, sizes: dict[str, LayerSize], widths: dict[str, int], rule: Rule
) -> dict[str, int]:
    """Return the next width of all units under masks of weights (DGMw), the most asked for."""
    grown: dict[str, int] = {}

    def wanted(link: Link) -> int:
        more = 0 if link.source is None else grown[link.source] - widths[link.source]
        return -(-rule(sizes[link.layer], more) // link.per_unit)

    for units in chain.units:
        grown[units] = widths[units] + max(wanted(k) for k in chain.links if k.units == units)
    return grown


@dataclass(frozen=True)
class Settings:
    """What a growing generator does at a border."""

    fill: Callable[[Tensor], None]  # initialises new weights in place
    start: float = 0.0  # a later task's embeddings before training (the first task's are 0)
    rule: Rule = code_rule  # outputs to add to a layer (masks of weights only)
    seed: int = 0  # of new weights, norms and heads


def _newly(masks: TaskMasks) -> int:  # reserved by the last task, and by no task before it
    last = masks.finished - 1
    return int((masks.of(last).cpu() & ~masks.cumulated(tasks=last)).sum())


class GrowingGenerator(TaskGenerator):
    """A plain generator with a `chain`, converted: masked layers, a norm and head for each task."""

    purpose: ClassVar[str] = "grow"

    def __init__(self, network: nn.Module, settings: Settings) -> None:
        super().__init__(settings.seed)
        self.network, self.settings, self.chain = network, settings, chain_of(network)
        self.layers, self._first = dict[str, MaskedLayer](), dict[str, int]()
        self.masks: dict[str, TaskMasks] = {}  # by the name of the layer or units
        for link in self.chain.links:
            layer = self.convert_layer(link, network.get_submodule(link.layer))
            replace(network, link.layer, layer)
            self.layers[link.layer] = layer
            self._first[link.units] = layer.weight.shape[layer.out_axis] // link.per_unit
        for name in self.chain.norms:
            norm = TaskSpecific(network.get_submodule(name), lambda width, _: nn.BatchNorm2d(width))
            replace(network, name, norm)
        head = cast(SharedHead | ClassHead, network.get_submodule(self.chain.head))
        replace(network, self.chain.head, TaskHead(head))

    def convert_layer(self, link: Link, layer: Any) -> MaskedLayer:  # noqa: ANN401
        """Return the masked layer that takes over a plain one."""
        raise NotImplementedError

    def next_widths(self) -> dict[str, int]:
        """Return the widths that the next task gets, after the last one was committed."""
        raise NotImplementedError

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

    def masked_weights(self) -> int:
        """Return the number of maskable weights."""
        return sum(layer.weight.numel() for layer in self.layers.values())

    def norms_and_heads(self) -> int:
        """Return the numbers kept in all tasks' norms and heads, running statistics included."""
        kept = [m.state_dict().values() for m in self.modules() if isinstance(m, TaskSpecific)]
        return sum(t.numel() for tensors in kept for t in tensors if t.is_floating_point())

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
            report[name] = {"width": after[units], "trained_size": new.numel()}
            parts = {"reserved": new | old, "newly": new & ~old, "reused": new & old}
            report[name] |= {key: int(mask.sum()) for key, mask in parts.items()}
        return report

    def start_task(self, task: int) -> None:
        """Widen the network and start the task on it: masks, norms and a head."""
        classes, widths = self.rows_of(self.tasks[task]["classes"]), self.tasks[task]["widths"]
        start = self.settings.start if task else 0.0
        for link, layer in zip(self.chain.links, self.layers.values(), strict=True):
            now = layer.weight.shape[layer.in_axis]
            inputs = now if link.source is None else widths[link.source]
            layer.grow(inputs, widths[link.units] * link.per_unit, self.settings.fill)
            layer.add_task(start)
        norms = [(name, units, False) for name, units in self.chain.norms.items()]
        for name, units, again in [*norms, (self.chain.head, self.chain.head_source, True)]:
            specific = cast(TaskSpecific, self.network.get_submodule(name))
            specific.add_task(widths[units], classes, again)


class WeightMaskedGenerator(GrowingGenerator):
    """DGMw: every weight has a mask."""

    def convert_layer(self, link: Link, layer: Any) -> MaskedLayer:  # noqa: ANN401
        """Return the layer under masks of weights."""
        made = masked.WeightMaskedLayer(layer)
        self.masks[link.layer] = made.masks
        return made

    def next_widths(self) -> dict[str, int]:
        """Return the widths by the rule, from the weights that the last task newly reserved."""
        sizes = {}
        for name, layer in self.layers.items():
            newly, shape = _newly(self.masks[name]), layer.shapes[-1]
            inputs, outputs = shape[layer.in_axis], shape[layer.out_axis]
            sizes[name] = LayerSize(inputs, outputs, layer.weight[0, 0].numel(), newly)
        return grown_by_weights(self.chain, sizes, self.widths, self.settings.rule)


class UnitMaskedGenerator(GrowingGenerator):
    """DGMa: every unit has a mask; `leak`: as published, it acts before the norm and leaks."""

    def __init__(self, network: nn.Module, settings: Settings, leak: bool = False) -> None:
        self._leak = leak
        super().__init__(network, settings)
        self.units = nn.ModuleDict({k.replace(".", "_"): m for k, m in self.masks.items()})
        if not leak:
            head = cast(TaskHead, network.get_submodule(self.chain.head))
            head.reads.append(self.masks[self.chain.head_source])
            for name, units in self.chain.identities.items():
                replace(network, name, masked.UnitGate(self.masks[units]))

    def convert_layer(self, link: Link, layer: Any) -> MaskedLayer:  # noqa: ANN401
        """Return the layer under the masks of the units it reads and makes."""
        makes = self.masks.setdefault(link.units, TaskMasks())
        reads = None if link.source is None else self.masks[link.source]
        return masked.UnitMaskedLayer(layer, reads, makes, link.per_unit, self._leak)

    def commit(self) -> None:
        """Binarise the units' masks too."""
        super().commit()
        for masks in self.masks.values():
            masks.commit()

    def next_widths(self) -> dict[str, int]:
        """Return one unit more for each that the last task newly reserved."""
        return {units: n + _newly(self.masks[units]) for units, n in self.widths.items()}

    def start_task(self, task: int) -> None:
        """Start the units' masks too."""
        super().start_task(task)
        device, start = next(self.parameters()).device, self.settings.start if task else 0.0
        for name, masks in self.masks.items():
            masks.add_task((self.tasks[task]["widths"][name],), device, start)


def disk_bytes(generator: GrowingGenerator) -> dict[str, int]:
    """Return bytes of the weights in fp32, and of all binary masks in three formats (DGM, Table 4).

    Packed bits of all elements; a flat int32 for each one; COO, an int64 per axis and an fp32.
    """
    masks = [m.of(task) for m in generator.masks.values() for task in range(m.finished)]
    ones = [(mask.dim(), int(mask.sum())) for mask in masks]
    return {
        "weights_fp32": FLOAT * (generator.masked_weights() + generator.norms_and_heads()),
        "masks_packed_bits": sum(-(-mask.numel() // 8) for mask in masks),
        "masks_flat_int32": INT32 * sum(count for _, count in ones),
        "masks_coo_int64": sum((INT64 * axes + FLOAT) * count for axes, count in ones),
    }
