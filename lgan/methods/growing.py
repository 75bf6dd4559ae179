"""How a method's networks gain rows for classes that come after they were built."""

from dataclasses import replace
from typing import Any

from lgan.methods.saving import Saved
from lgan.networks.factory import NetworkFactory
from lgan.networks.growth import Maker, grown


class Growing(Saved):
    """A method with networks that have rows for `num_classes` classes, `first_classes` at first."""

    networks: NetworkFactory
    num_classes: int
    first_classes: int
    has_generator: bool

    @property
    def has_rows(self) -> bool:
        """Whether classes are drawn, which networks have rows for."""
        return self.objective.task_kind == "classes"

    @property
    def growing(self) -> dict[str, Maker]:
        """What builds the networks that gain rows, by their attribute."""
        generator = {"generator": self.networks.generator} if self.has_generator else {}
        return generator | {"discriminator": self.networks.discriminator}

    def grow(self, num_classes: int) -> None:
        """Give the networks rows for further classes."""
        for role, make in self.growing.items():
            network = getattr(self, role)
            made = grown(network, self.num_classes, num_classes, make, self.networks, role)
            setattr(self, role, made)
        self.num_classes = num_classes
        self.networks = replace(self.networks, num_classes=num_classes)

    def structure(self) -> dict[str, Any]:
        """Add the rows for classes where there are more than at first."""
        more = {"num_classes": self.num_classes} if self.num_classes > self.first_classes else {}
        return super().structure() | more

    def rebuild(self, structure: dict[str, Any]) -> None:
        """Make room for the classes."""
        super().rebuild(structure)
        self.grow(structure.get("num_classes", self.num_classes))
