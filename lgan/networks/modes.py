"""Computing as in training, whatever mode a network is in, without its noticing."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd


@contextmanager
def as_in_training(*networks: nn.Module) -> Iterator[None]:
    """Let networks drop out and norms use the batch's statistics; running ones stay untouched.

    It is how pix2pix's code tests (papers/piggyback_gan.md 2.4), and how a network can be shown
    pictures in training that its running statistics are not to know of.
    """
    modules = [m for network in networks for m in network.modules()]
    norms = [(m, m.track_running_stats) for m in modules if isinstance(m, _NormBase)]
    modes = [(m, m.training) for m in modules if isinstance(m, _DropoutNd | _NormBase)]
    try:
        for norm, _ in norms:
            # A norm that trains and does not track neither reads nor writes running ones.
            norm.track_running_stats = False
        for module, _ in modes:
            module.training = True
        yield
    finally:
        for norm, tracks in norms:
            norm.track_running_stats = tracks
        for module, training in modes:
            module.training = training


def in_float32(device: torch.device) -> AbstractContextManager[Any]:
    """Compute in float32 where mixed precision is on around (`trainer.precision`)."""
    kind = device.type
    mixed = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if mixed else nullcontext()


def random_devices(device: torch.device) -> list[torch.device]:
    """Return the devices, beside the CPU, whose random state `torch.random.fork_rng` is to keep."""
    return [] if device.type == "cpu" else [device]
