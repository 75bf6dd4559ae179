"""Who feeds whom: what a network must declare before its layers can be widened.

A network that can grow has a method `chain() -> Chain`. *Units* are groups of channels that are as
wide as each other wherever they appear: a layer makes units, the layers that read them (and the
norms between) follow in width. Skips are declared by naming the same units twice.
"""

from dataclasses import dataclass
from typing import Any, cast

from torch import nn

from lgan.errors import ConfigError


@dataclass(frozen=True)
class Link:
    """One layer of a chain."""

    layer: str  # dotted name of an `nn.Conv2d`, `nn.ConvTranspose2d` or `nn.Linear` without bias
    source: str | None  # the units it reads; None for the noise, which never grows
    units: str  # the units it makes; several layers may make the same ones (a sum)
    per_unit: int = 1  # output channels a unit (16 where a linear layer's outputs become 4x4 maps)


@dataclass(frozen=True)
class Chain:
    """All layers that a method may mask and widen, in the order in which they are computed."""

    links: tuple[Link, ...]
    norms: dict[str, str]  # dotted name of each `nn.BatchNorm2d` to the units it normalises
    head: str  # dotted name of the head, a module of `lgan.networks.heads`
    head_source: str  # the units that the head reads
    identities: dict[str, str]
    """Dotted names of `nn.Identity` modules, through which units pass unchanged (a skip), to those
    units; a unit mask must act there too."""

    @property
    def units(self) -> tuple[str, ...]:
        """Names of all units, in order of their first maker."""
        return tuple(dict.fromkeys(link.units for link in self.links))


def chain_of(network: nn.Module) -> Chain:
    """Return a network's chain."""
    if not hasattr(network, "chain"):
        raise ConfigError(
            f"network: {type(network).__name__} declares no chain of layers, so its layers cannot "
            "be masked and widened; choose a network with one, such as network=dgm_dcgan."
        )
    return cast(Any, network).chain()
