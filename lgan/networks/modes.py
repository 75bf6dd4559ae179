"""Computing as in training, whatever mode a network is in, without its noticing."""

from collections.abc import Iterator
from contextlib import contextmanager

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
    before: list[tuple[nn.Module, dict[str, bool]]] = []
    try:
        for module in (m for network in networks for m in network.modules()):
            if isinstance(module, _DropoutNd):
                before.append((module, {"training": module.training}))
            elif isinstance(module, _NormBase):
                kept = {"training": module.training, "track": module.track_running_stats}
                before.append((module, kept))
                # A norm that trains and does not track neither reads nor writes running ones.
                module.track_running_stats = False
            else:
                continue
            module.training = True
        yield
    finally:
        for module, kept in reversed(before):
            module.training = kept["training"]
            if isinstance(module, _NormBase):
                module.track_running_stats = kept["track"]


def random_devices(device: torch.device) -> list[torch.device]:
    """Return the devices, beside the CPU, whose random state `torch.random.fork_rng` is to keep."""
    return [] if device.type == "cpu" else [device]
