"""Layers under masks: of single weights (DGMw) or of units (DGMa), and layers for one task each.

A unit of DGMa's that is off is an input column of zeros in all layers that read it, which equals a
mask after the ReLU: nothing leaks (papers/dgm.md 6.7). As published (`leak=paper`) output rows are
zeroed, before the batch norm, whose offset then passes.
"""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from lgan.errors import ConfigError
from lgan.layers.execution import kernel_of
from lgan.layers.masks import TaskMasks
from lgan.layers.per_task import Linear
from lgan.layers.protocol import TaskLayer, TaskModules
from lgan.networks.heads import ClassHead, SharedHead


class MaskedLayer(TaskLayer):
    """A linear layer or convolution, taken over, whose weight is multiplied by a mask."""

    def __init__(self, layer: Linear) -> None:
        super().__init__()
        if layer.bias is not None:
            raise ConfigError(
                f"network: a masked {type(layer).__name__} must have bias=False: a bias is shared "
                "by all tasks and no mask protects it."
            )
        self.kernel, self.weight = kernel_of(layer), layer.weight
        self.out_axis = self.kernel.filter_axis  # of the weight, over outputs
        self.in_axis = 1 - self.out_axis
        self.shapes: list[torch.Size] = []

    def grow(self, inputs: int, outputs: int, fill: Callable[[Tensor], None]) -> None:
        """Widen the weight: the old one in the corner, the rest as `fill` initialises it."""
        old = self.weight.detach()
        shape = list(old.shape)
        shape[self.in_axis], shape[self.out_axis] = inputs, outputs
        if shape == list(old.shape):
            return
        wider = torch.empty(shape)
        fill(wider)
        wider[tuple(slice(0, n) for n in old.shape)] = old.cpu()
        self.weight = nn.Parameter(wider.to(old.device))

    def forward(self, x: Tensor) -> Tensor:
        """Compute as the current task, under its soft mask."""
        return self.kernel.apply(x, self.weight * self.mask(TaskMasks.soft), None)

    def weight_of(self, task: int) -> Tensor:
        """Return the plain weight of a finished task, in that task's shape."""
        corner = tuple(slice(0, n) for n in self.shapes[task])
        return self.weight.detach()[corner] * self.mask(lambda masks: masks.of(task))

    def bake(self, task: int) -> nn.Module:
        """Return a plain layer with the weight of a finished task."""
        return self.kernel.layer(self.weight_of(task), None)

    def protect(self) -> None:
        """Take the gradient away from weights that older tasks use."""
        if self.weight.grad is not None and len(self.shapes) > 1:
            self.weight.grad.mul_(self.unprotected())

    def add_task(self, start: float) -> None:
        """Start a task on the weight as it now is, embeddings at `start`."""
        self.shapes.append(self.weight.shape)

    def mask(self, values: Callable[[TaskMasks], Tensor]) -> Tensor:
        """Return the mask of the weight, or of a finished task's corner, by a mask's `values`."""
        raise NotImplementedError

    def unprotected(self) -> Tensor:
        """Return 1 where a weight may change and 0 where older tasks use it, 1 - m_old."""
        return self.mask(lambda masks: cast(Tensor, masks.free))


class WeightMaskedLayer(MaskedLayer):
    """DGMw: a mask for every weight."""

    def __init__(self, layer: Linear) -> None:
        super().__init__(layer)
        self.masks = TaskMasks()

    def add_task(self, start: float) -> None:
        """Start a task, its mask too."""
        super().add_task(start)
        self.masks.add_task(tuple(self.weight.shape), self.weight.device, start)

    def commit(self) -> None:
        """Binarise the mask."""
        self.masks.commit()

    def mask(self, values: Callable[[TaskMasks], Tensor]) -> Tensor:
        """Return the values of the weight's own mask."""
        return values(self.masks)


class UnitMaskedLayer(MaskedLayer):
    """DGMa: the network's masks of units that a layer reads (None: the noise) and makes.

    A unit has `per_unit` outputs; with `leak` the mask acts on outputs, before the norm.
    """

    def __init__(
        self, layer: Linear, reads: TaskMasks | None, makes: TaskMasks, per_unit: int, leak: bool
    ) -> None:
        super().__init__(layer)
        self._units = (reads, makes)  # in a tuple: not submodules, several layers share them
        self.per_unit, self.leak = per_unit, leak

    def mask(self, values: Callable[[TaskMasks], Tensor]) -> Tensor:
        """Return the values of the inputs' mask (of the outputs' if it leaks), to be broadcast."""
        reads, makes = self._units
        if self.leak:
            return self._outputs(values(makes))
        if reads is None:
            return torch.ones((), device=self.weight.device)
        return self._along(values(reads), self.in_axis)

    def unprotected(self) -> Tensor:
        """Return 1 - min(m_out, m_in) over the cumulated masks (HAT's rule)."""
        reads, makes = self._units
        assert makes.free is not None
        free = self._outputs(makes.free)
        if reads is None:
            return free
        return torch.maximum(free, self._along(cast(Tensor, reads.free), self.in_axis))

    def _outputs(self, values: Tensor) -> Tensor:
        return self._along(values.repeat_interleave(self.per_unit), self.out_axis)

    def _along(self, values: Tensor, axis: int) -> Tensor:
        shape = [1] * self.weight.dim()
        shape[axis] = -1
        return values.view(shape)


class TaskSpecific(TaskModules):
    """A module of which every task has its own; a later one's is `fresh(width, classes)`."""

    def __init__(self, module: nn.Module, fresh: Callable[[int, Sequence[int]], nn.Module]) -> None:
        super().__init__(module)
        self.fresh = fresh

    def add_task(self, width: int, classes: Sequence[int], again: bool) -> None:
        """Start a task; `again` makes a fresh module even for the first one."""
        device = next(self.tasks.parameters()).device
        if self.finished == len(self.tasks):
            self.tasks.append(self.fresh(width, classes).to(device))
        elif again:
            self.tasks[0] = self.fresh(width, classes).to(device)


class TaskHead(TaskSpecific):
    """A head for each task, under the mask of the units it `reads` if there is one (DGMa)."""

    def __init__(self, head: SharedHead | ClassHead) -> None:
        super().__init__(head, head.fresh)
        self.reads: list[TaskMasks] = []  # in a list: not submodules

    def forward(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        """Return the current task's images before the tanh."""
        for masks in self.reads:
            x = x * masks.soft()[:, None, None]
        return self.tasks[-1](x, y)

    def bake(self, task: int) -> nn.Module:
        """Return a copy of a task's head, its input columns masked."""
        head = super().bake(task)
        for masks in self.reads:
            weight = head.convolution.weight.data  # type: ignore[union-attr]
            axis = int(isinstance(head.convolution, nn.Conv2d))
            weight.movedim(axis, -1).mul_(masks.of(task))  # type: ignore[operator]
        return head


class UnitGate(TaskLayer):
    """Units that pass unchanged, under their own mask (DGMa on skips)."""

    def __init__(self, masks: TaskMasks) -> None:
        super().__init__()
        self._masks = [masks]

    def forward(self, x: Tensor) -> Tensor:
        """Return x (B, units, H, W) under the current soft mask."""
        return x * self._masks[0].soft()[:, None, None]

    def bake(self, task: int) -> nn.Module:
        """Return a plain module that multiplies by a task's binary mask."""
        return ChannelScale(self._masks[0].of(task).float())


class ChannelScale(nn.Module):
    """Multiply each channel by a constant: `scale` is (C,)."""

    scale: Tensor

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return x (B, C, H, W) scaled."""
        return x * self.scale[:, None, None]
