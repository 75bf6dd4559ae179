"""Computing as in training, whatever mode a network is in, without its noticing."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd


@contextmanager
def having(things: Iterable[Any], **wanted: Any) -> Iterator[None]:  # noqa: ANN401
    """Give attributes these values, where things have them; then give back what was there."""
    found = [(each, key, getattr(each, key)) for each in things for key in wanted
             if hasattr(each, key)]  # fmt: skip
    try:
        for each, key, _ in found:
            setattr(each, key, wanted[key])
        yield
    finally:
        for each, key, value in found:
            setattr(each, key, value)


def as_in_training(*networks: nn.Module) -> AbstractContextManager[None]:
    """Let networks drop out and norms use the batch's statistics; running ones stay untouched.

    So pix2pix's code tests (papers/piggyback_gan.md 2.4), and replays are hidden from statistics.
    """
    modules = [m for n in networks for m in n.modules() if isinstance(m, _DropoutNd | _NormBase)]
    # A norm that trains and does not track neither reads nor writes running statistics.
    return having(modules, training=True, track_running_stats=False)


def held(parameters: Iterable[nn.Parameter]) -> AbstractContextManager[None]:
    """Switch gradients of parameters off, and those that were on, on again."""
    return having([p for p in parameters if p.requires_grad], requires_grad=False)


def frozen(networks: Iterable[nn.Module]) -> AbstractContextManager[None]:
    """Switch gradients of all parameters of networks off, and those that were on, on again."""
    return held(p for network in networks for p in network.parameters())


def moved_by_others(optimizers: Mapping[str, Any], player: str) -> Iterator[nn.Parameter]:
    """Yield what the other players' optimizers move: networks also hold what old tasks left."""
    for name, optimizer in optimizers.items():
        if name != player:
            yield from (p for group in optimizer.param_groups for p in group["params"])


def repeatable() -> AbstractContextManager[None]:
    """Let cuDNN compute the same from the same; its fastest transposed convolutions do not."""
    return having([torch.backends.cudnn], deterministic=True, benchmark=False)


def in_float32(device: torch.device) -> AbstractContextManager[Any]:
    """Compute in float32 where mixed precision is on around (`trainer.precision`)."""
    kind = device.type
    mixed = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if mixed else nullcontext()


def random_devices(device: torch.device) -> list[torch.device]:
    """Return the devices, beside the CPU, whose random state `torch.random.fork_rng` is to keep."""
    return [] if device.type == "cpu" else [device]
