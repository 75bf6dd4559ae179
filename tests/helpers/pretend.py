"""A pretend accelerator: tensors that say they live on `pretend:0`, computed on the CPU.

As on CUDA, tensors of the device do not mix with the CPU's (but for scalars in arithmetic), the
device has a random state of its own, and generators belong to a device. What would make the host
wait for the device, and what is sent to it, is noted with the line of lgan that asks for it:

    with Pretend() as device:
        model.to(DEVICE)
        loss = model(x.to(DEVICE))
    print(device.reads, device.uploads)

`pretend_run` trains on it. Not pretended: autocast, pinned memory, streams, several devices.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

import lgan

LGAN = f"{Path(lgan.__file__).parent}/"
CPU = torch.device("cpu")
aten: Any = torch.ops.aten
COPIES = {aten._to_copy.default, aten.copy_.default, aten._copy_from.default}
INDEXING = {
    aten.index.Tensor, aten._unsafe_index.Tensor, aten.index_put.default, aten.index_put_.default,
    aten._index_put_impl_.default,
}  # fmt: skip
WAITS = {
    aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.equal, aten.is_nonzero,
    aten._unique2, aten.unique_dim, aten.unique_consecutive, aten.bincount,
}  # fmt: skip
"""What gives the host a number, or a tensor whose size depends on numbers."""


class _Module(_DummyBackendModule):
    """What is `torch.pretend`: above all the device's own random state."""

    def __init__(self) -> None:
        self.generator = torch.Generator()

    def manual_seed_all(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    def get_rng_state(self, device: Any = None) -> Tensor:
        return self.generator.get_state()

    def set_rng_state(self, state: Tensor, device: Any = None) -> None:
        self.generator.set_state(state)

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Let the CPU draw from the device's state."""
        kept = torch.get_rng_state()
        torch.set_rng_state(self.generator.get_state())
        try:
            yield
        finally:
            self.generator.set_state(torch.get_rng_state())
            torch.set_rng_state(kept)


_MODULE = _Module()
_setup_privateuseone_for_python_backend("pretend", backend_module=_MODULE)
DEVICE = torch.device("pretend:0")


class OnDevice(Tensor):
    """A tensor on the device: `raw`, on the CPU, behind the device's name."""

    raw: Tensor

    @staticmethod
    def __new__(cls, raw: Tensor) -> OnDevice:
        made = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, raw.size(), strides=raw.stride(), storage_offset=raw.storage_offset(),
            dtype=raw.dtype, device=DEVICE,
        )  # fmt: skip
        made.raw = raw
        return made

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"OnDevice({self.raw})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Be saved as a tensor of the CPU, as which Lightning and lgan load any."""
        return self.raw.detach().__reduce_ex__(protocol)

    def tolist(self) -> Any:
        _note("read", "tolist")
        return self.raw.tolist()

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(_tensors(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_tensors(index), value)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _call(func, args, kwargs or {})


def _tensors(index: Any) -> Any:
    """Return an index whose lists are tensors; torch would make them where no mode hears of it."""
    if isinstance(index, tuple):
        return tuple(map(_tensors, index))
    return torch.tensor(index) if isinstance(index, list) else index


class Generator(torch._C.Generator):
    """A generator that belongs to the device it was made for, drawn from on the CPU."""

    made: ClassVar[weakref.WeakSet[Generator]] = weakref.WeakSet()

    def __new__(cls, device: Any = "cpu") -> Any:
        generator = super().__new__(cls, "cpu")
        generator.here = _is_here(device)
        cls.made.add(generator)
        return generator

    @property
    def device(self) -> torch.device:
        return DEVICE if self.here else CPU


class Pretend(TorchDispatchMode):
    """While it is entered there is the device; `reads` and `uploads` say what crossed to it."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, str]] = []
        self._patches = ExitStack()

    @property
    def reads(self) -> list[str]:
        """What made the host wait, each as "operation file:line"."""
        return [what for kind, what in self.events if kind == "read"]

    @property
    def uploads(self) -> list[str]:
        """What was sent to the device."""
        return [what for kind, what in self.events if kind == "upload"]

    def __enter__(self) -> Pretend:
        global _active
        _active = self
        self._patches.enter_context(patch.object(torch, "Generator", Generator))
        for name in ("tensor", "as_tensor"):
            self._patches.enter_context(patch.object(torch, name, _uploading(name)))
        return super().__enter__()  # type: ignore[return-value]

    def __exit__(self, *error: Any) -> None:
        global _active
        super().__exit__(*error)
        self._patches.close()
        _active = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _call(func, args, kwargs or {})


_active: Pretend | None = None


def _note(kind: str, what: str) -> None:
    if _active is None:
        return
    frame: FrameType | None = sys._getframe()
    while frame and not frame.f_code.co_filename.startswith(LGAN):
        frame = frame.f_back
    where = f"{frame.f_code.co_filename.removeprefix(LGAN)}:{frame.f_lineno}" if frame else "?"
    _active.events.append((kind, f"{what} {where}"))


def _uploading(name: str) -> Any:
    plain = getattr(torch, name)

    def make(data: Any, *, device: Any = None, **settings: Any) -> Tensor:
        if not _is_here(device) or isinstance(data, OnDevice):
            return plain(data, **settings, **({} if device is None else {"device": device}))
        made = plain(data, **settings)
        return made.to(DEVICE)

    return make


def _is_here(device: Any) -> bool:
    return device is not None and torch.device(device).type == "pretend"


def _call(func: Any, args: Any, kwargs: Any) -> Any:
    """Compute on the CPU what is asked of the device, as CUDA would allow it."""
    flat = [*_leaves((args, kwargs))]
    here = [a for a in flat if isinstance(a, OnDevice)]
    there = [a for a in flat if isinstance(a, Tensor) and not isinstance(a, OnDevice)]
    device = kwargs.get("device")
    made_here = _made_here(func, args, here, device)
    _check_generator(func, flat, made_here)
    if not here and not made_here:
        return func(*args, **kwargs)
    _check(func, args, here, there)
    _count(func, args, here, there, made_here)
    kwargs = dict(kwargs)
    if made_here:
        kwargs |= {"device": CPU} if device is not None else {}
        kwargs |= {"pin_memory": False} if "pin_memory" in kwargs else {}
    with ExitStack() as stack:
        if torch.Tag.nondeterministic_seeded in func.tags and kwargs.get("generator") is None:
            stack.enter_context(_MODULE.drawing())
        out = func(*_mapped(_raw, args), **_mapped(_raw, kwargs))
    if not made_here:
        return out
    known = {id(a.raw): a for a in here}  # what is changed in place comes back as it is

    def wrapped(made: Any) -> Any:
        if not isinstance(made, Tensor) or isinstance(made, OnDevice):
            return made
        return known[id(made)] if id(made) in known else OnDevice(made)

    return _mapped(wrapped, out)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        yield value
        return
    for each in value:
        yield from _leaves(each)


def _mapped(change: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _mapped(change, each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([_mapped(change, each) for each in value])
    return change(value)


def _raw(value: Any) -> Any:
    return value.raw if isinstance(value, OnDevice) else value


def _made_here(func: Any, args: Any, here: list[OnDevice], device: Any) -> bool:
    if device is not None:
        return _is_here(device)
    if func in INDEXING or func is aten.copy_.default:
        return isinstance(args[0], OnDevice)
    return bool(here)


def _check(func: Any, args: Any, here: list[OnDevice], there: list[Tensor]) -> None:
    """Refuse tensors of two devices, but for scalars in arithmetic and indices from the CPU."""
    if not here or func in COPIES:
        return
    if func in INDEXING:
        mixed = not isinstance(args[0], OnDevice) or any(
            isinstance(v, Tensor) and not isinstance(v, OnDevice) and v.dim() for v in args[2:]
        )
    else:
        scalars = torch.Tag.pointwise in func.tags or "fill" in str(func)
        mixed = any(a.dim() or not scalars for a in there)
    if mixed:
        shapes = [tuple(a.shape) for a in there]
        raise RuntimeError(f"{func}: all tensors must be on one device, not pretend and {shapes}")


def _check_generator(func: Any, flat: list[Any], made_here: bool) -> None:
    """Refuse a generator of another device; what is dispatched knows it by its seed only."""
    for given in (g for g in flat if isinstance(g, torch._C.Generator)):
        same = {g.here for g in Generator.made if g.initial_seed() == given.initial_seed()}
        if same and made_here not in same:
            raise RuntimeError(f"{func}: the generator is of another device than the tensor")


def _count(
    func: Any, args: Any, here: list[OnDevice], there: list[Tensor], made_here: bool
) -> None:
    name = func.overloadpacket.__name__
    if func in INDEXING:
        indices = [i for i in _leaves(args[1]) if isinstance(i, Tensor)]
        if any(i.dtype == torch.bool for i in indices):
            _note("read", f"boolean {name}")
        if any(not isinstance(i, OnDevice) for i in indices):
            _note("upload", f"{name} by indices of the CPU")
    elif func in COPIES:
        source = args[1] if func is aten.copy_.default else args[0]
        if isinstance(source, OnDevice) and not made_here:
            _note("read", name)
        elif not isinstance(source, OnDevice) and made_here:
            _note("upload", name)
    elif func.overloadpacket in WAITS or func is aten.repeat_interleave.Tensor:
        _note("read", name)
