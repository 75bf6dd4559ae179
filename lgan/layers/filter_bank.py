"""A layer whose filters are partly free and partly mixed from those of older tasks.

Source: Zhai et al. 2020 (Piggyback GAN, arXiv 2104.11939); equations as in
papers/piggyback_gan.md, 1.1. Task 1 has free filters only. A later task t has nu = lambda Co
unconstrained ones, F^u, and np = Co - nu piggyback ones: F_t = [F_t^u, bank W_t] (5), where the
bank is [F_1^u, ..., F_{t-1}^u], or of bounded size. A filter is a column of R(F), that is all
weights of one output.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from lgan.errors import warn
from lgan.layers import products
from lgan.layers.bank import BankSettings
from lgan.layers.execution import Execution, Work, kernel_of
from lgan.layers.per_task import LifelongGenerator, LifelongLayer, Linear

STD = 0.02  # the spread of fresh filters, pix2pix's


class FilterBankLayer(LifelongLayer):
    """A linear layer or convolution with a bank of the filters that older tasks learnt.

    The current task's tensors are parameters: `free` (its unconstrained filters, in the layer's
    own layout), `mixing` (W, of shape (B, np)) and `bias`. A finished task's are buffers:
    `slab0`, `mixing1`, `bias1`, ...; the slabs together are the bank. Which of their filters a
    full bank of the most used ones holds are buffers, too: `chosen13`, int32 (B,), ascending.
    """

    free: nn.Parameter | None
    mixing: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, layer: Linear, settings: BankSettings) -> None:
        super().__init__()
        self.settings, self.kernel = settings, kernel_of(layer)
        self.register_parameter("free", cast(nn.Parameter, layer.weight))
        self.register_parameter("bias", cast(nn.Parameter | None, layer.bias))
        self.register_parameter("mixing", None)
        self.shape = layer.weight.shape
        self.outputs = self.shape[self.kernel.filter_axis]  # filters, Co
        self.per_filter = self.shape.numel() // self.outputs  # weights of each, kh * kw * Ci
        self.counts, self.finished = [self.outputs], 0
        self.execution = Execution(settings.execution)
        self._banks: dict[str, Tensor] = {}

    def bank_size(self, task: int) -> int:
        """Return B, the number of filters in the bank when `task` is trained."""
        return self.settings.bank_size(sum(self.counts[:task]), self.outputs)

    def bank_of(self, task: int) -> list[int]:
        """Return which filters the bank of a task holds, counted over all tasks, ascending."""
        if (chosen := self._buffer("chosen", task)) is not None:
            return cast(list[int], chosen.tolist())
        return self.settings.held(sum(self.counts[:task]), self.outputs)

    def numbers_of(self, task: int) -> dict[str, int]:
        """Return how many numbers a task added: unconstrained, mixing, bias."""
        mixed = self.bank_size(task) * (self.outputs - self.counts[task])
        bias = 0 if self.bias_of(task) is None else self.outputs
        free, chosen = self.counts[task] * self.per_filter, self._buffer("chosen", task)
        held = {"unconstrained": free, "mixing": mixed, "bias": bias}
        return held if chosen is None else held | {"chosen": len(chosen)}

    def add_task(self) -> None:
        """Start a task: fresh or warm filters, mixing and bias."""
        sizes = self.outputs, self.per_filter, self.bank_size(self.finished)
        self.counts.append(self.settings.free_filters(*sizes))
        self._choose(self.finished)
        make = self._warm if self.settings.init == "warm" else self._random
        free, mixing, bias = make(self.finished)
        self.free = nn.Parameter(free) if free.numel() else None
        self.mixing = nn.Parameter(mixing) if mixing.numel() else None
        self.bias = None if bias is None else nn.Parameter(bias)
        self._forget()

    def commit(self) -> None:
        """Freeze the current task's tensors; its unconstrained filters join the bank."""
        for name, held in (("slab", "free"), ("mixing", "mixing"), ("bias", "bias")):
            tensor = getattr(self, held)
            if tensor is not None:
                self.register_buffer(f"{name}{self.finished}", tensor.detach().clone())
            setattr(self, held, None)
        self.finished += 1
        self._forget()

    def forward(self, x: Tensor) -> Tensor:
        """Compute as the current task, or as the last one if that is finished."""
        last = len(self.counts) - 1
        if self.finished > last:
            return self.kernel.apply(x, self.weight_of(last), self.bias_of(last))
        chosen = "compose" if self.mixing is None else self.execution.choose(x, self.work)
        if chosen != "compose":
            multiply = chosen == "multiply" and products.multiplies(self.kernel.plain)
            return self._multiplied(x) if multiply else self._mixed(x)
        return self.kernel.apply(x, self._composed(self.free, self.mixing, last), self.bias)

    def work(self, shape: torch.Size) -> Work:
        """Return the sizes that the current task's costs depend on, for an input's shape."""
        task = len(self.counts) - 1
        count = self.counts[task]
        sizes = self.bank_size(task), self.outputs - count, count, self.per_filter
        plain = self.kernel.plain
        taps = products.taps(plain) if products.multiplies(plain) else 1
        return Work(*sizes, *self.kernel.positions(shape), taps)

    def weight_of(self, task: int) -> Tensor:
        """Return the plain weight of a task, in the layer's own layout."""
        if task >= self.finished:
            return self._composed(self.free, self.mixing, task).detach()
        return self._composed(self._buffer("slab", task), self._buffer("mixing", task), task)

    def bias_of(self, task: int) -> Tensor | None:
        """Return the bias of a task, None if the layer has none."""
        return self.bias if task >= self.finished else self._buffer("bias", task)

    def bake(self, task: int) -> nn.Module:
        """Return a plain layer with the composed weight of a task."""
        return self.kernel.layer(self.weight_of(task), self.bias_of(task))

    def _composed(self, free: Tensor | None, mixing: Tensor | None, task: int) -> Tensor:
        """Return [F^u, R^-1(R(bank) W)] along the filter axis."""
        if mixing is None:
            assert free is not None
            return free
        axis, rest = self.kernel.filter_axis, list(self.shape)
        del rest[axis]
        mixed = (mixing.T @ self._matrix(task)).unflatten(1, rest).movedim(0, axis)
        return mixed.contiguous() if free is None else torch.cat([free, mixed], axis)

    def _mixed(self, x: Tensor) -> Tensor:
        """Return conv(x, F^u) beside conv1x1(conv(x, bank), W^T)."""
        assert self.mixing is not None
        count = self.counts[-1]
        bias = (None, None) if self.bias is None else (self.bias[:count], self.bias[count:])
        maps = self.kernel.apply(x, self._bank(len(self.counts) - 1), None)
        mixed = self.kernel.mix(maps, self.mixing.T, bias[1])
        if self.free is None:
            return mixed
        free = self.kernel.apply(x, self.free, bias[0])
        return torch.cat([free, mixed], self.kernel.channel_axis)

    def _multiplied(self, x: Tensor) -> Tensor:
        """Return the same by matrix products."""
        assert self.mixing is not None
        task, plain = len(self.counts) - 1, self.kernel.plain
        columns = partial(products.columns_of, plain)
        bank = self._kept("columns", task, lambda: columns(self._joined(task)))
        rows = products.rows_of(plain, x)
        parts = [(rows @ bank).view(-1, len(self.mixing)) @ self.mixing]
        if self.free is not None:
            parts.insert(0, (rows @ columns(self.free)).view(-1, self.counts[-1]))
        maps = products.maps_of(plain, torch.cat(parts, 1), x)
        return maps if self.bias is None else maps + self.bias[:, None, None]

    def _bank(self, task: int) -> Tensor:
        return self._kept("bank", task, lambda: self._joined(task))

    def _joined(self, task: int) -> Tensor:
        """Return the filters of a task's bank, slab by slab, in the layer's own layout."""
        rows, axis, start, parts = self.bank_of(task), self.kernel.filter_axis, 0, []
        for older, count in enumerate(self.counts[:task]):
            end = start + count
            mine = [r - start for r in rows[bisect_left(rows, start) : bisect_left(rows, end)]]
            if mine:
                slab = self.get_buffer(f"slab{older}")
                parts.append(slab if len(mine) == count else _selected(slab, axis, mine))
            start = end
        return torch.cat(parts, axis) if len(parts) > 1 else parts[0]

    def _choose(self, task: int) -> None:
        """Record which filters a full bank of the most used ones holds."""
        learnt, size = sum(self.counts[:task]), self.bank_size(task)
        if self.settings.keep != "used" or size == learnt or self.counts[task] == self.outputs:
            return
        mixing, newest = self.get_buffer(f"mixing{task - 1}"), learnt - self.counts[task - 1]
        use = mixing[self.outputs :].norm(dim=1)
        room = max(0, size - self.outputs - (learnt - newest))
        best = use.argsort(descending=True, stable=True)[:room].tolist()
        last = self.bank_of(task - 1)[self.outputs :]
        rows = sorted([*range(self.outputs), *(last[i] for i in best), *range(newest, learnt)])
        chosen = torch.tensor(rows[:size], dtype=torch.int32, device=mixing.device)
        self.register_buffer(f"chosen{task}", chosen)

    def _matrix(self, task: int) -> Tensor:
        """Return R(bank)^T, (B, kh * kw * Ci), one row per filter."""
        axis = self.kernel.filter_axis
        return self._kept("matrix", task, lambda: self._bank(task).movedim(axis, 0).flatten(1))

    def _kept(self, name: str, task: int, make: Callable[[], Tensor]) -> Tensor:
        # Only the current task's is kept: it is asked for at every step.
        if task != self.finished:
            return make()
        if name not in self._banks:
            self._banks[name] = make()
        return self._banks[name]

    def _warm(self, task: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return F^u, W and bias that give the filters of an older task (1.4)."""
        source = 0 if self.settings.start == "first" else task - 1
        count, bank = self.counts[task], self.bank_size(task)
        weight, bias = self.weight_of(source), self.bias_of(source)
        mixing = weight.new_zeros(bank, self.outputs - count)
        older = self._buffer("mixing", source)
        if older is not None and older.shape[1] == mixing.shape[1]:
            place = {row: i for i, row in enumerate(self.bank_of(task))}
            stay = [(i, place[r]) for i, r in enumerate(self.bank_of(source)) if r in place]
            rows, places = torch.tensor(stay, device=weight.device).T
            mixing[places] = older[rows]
        else:  # one-hot columns select the first task's filters nu .. Co - 1
            columns = torch.arange(self.outputs - count, device=weight.device)
            mixing[columns + count, columns] = 1.0
        free = weight.narrow(self.kernel.filter_axis, 0, count).clone()
        return free, mixing, None if bias is None else bias.clone()

    def _random(self, task: int) -> tuple[Tensor, Tensor, Tensor | None]:
        count, bank = self.counts[task], self.bank_size(task)
        like, bias = self.get_buffer("slab0"), self._buffer("bias", 0)
        shape = list(self.shape)
        shape[self.kernel.filter_axis] = count
        spread = STD if self.settings.init == "normal" else 1 / math.sqrt(bank)
        free, mixing = torch.empty(shape).normal_(0, STD), torch.empty(bank, self.outputs - count)
        fresh_bias = None if bias is None else torch.zeros_like(bias)
        return free.to(like), mixing.normal_(0, spread).to(like), fresh_bias

    def _buffer(self, name: str, task: int) -> Tensor | None:
        return self._buffers.get(f"{name}{task}")

    def _forget(self) -> None:
        self._banks.clear()
        self.execution = Execution(self.settings.execution)  # chooses anew for the new sizes

    def _apply(self, *args: Any, **kwargs: Any) -> Self:  # noqa: ANN401
        self._banks.clear()  # the slabs are about to move
        return super()._apply(*args, **kwargs)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        self._banks.clear()  # the slabs are about to be overwritten
        super()._load_from_state_dict(*args, **kwargs)


def _selected(slab: Tensor, axis: int, rows: list[int]) -> Tensor:
    if rows[-1] - rows[0] == len(rows) - 1:  # without an upload
        return slab.narrow(axis, rows[0], len(rows))
    return slab.index_select(axis, torch.tensor(rows, device=slab.device))


class FactorisedTranslator(LifelongGenerator):
    """A plain generator whose layers, but for the last ones, get banks of filters."""

    def __init__(self, network: nn.Module, settings: BankSettings, seed: int = 0) -> None:
        self.settings, self._warned = settings, False
        super().__init__(network, settings.start, seed)

    def add_task(self, classes: Sequence[int] = ()) -> None:
        """Start a task; warn of the first one that adds more than a network of its own would."""
        super().add_task(classes)
        task = len(self.tasks) - 1
        added, full = self.new_parameters(task), self.new_parameters(0)
        if added > full and not self._warned:
            self._warned = True
            warn(
                f"method.bank.factorise={self.settings.factorise}: task {task} adds {added:,} "
                f"numbers, a network of its own would add {full:,}; method.bank.factorise=auto "
                "never adds more, a smaller method.bank.size adds less."
            )

    def convert_layer(self, layer: Linear) -> LifelongLayer:
        """Return the layer with a bank."""
        return FilterBankLayer(layer, self.settings)

    def structure(self) -> dict[str, Any]:
        """Return classes, finished tasks, and unconstrained filters by layer and task."""
        named = self.network.named_modules()
        banks = {name: m for name, m in named if isinstance(m, FilterBankLayer)}
        held = {n: {"unconstrained": [*m.counts], "finished": m.finished} for n, m in banks.items()}
        return super().structure() | {"layers": held}
