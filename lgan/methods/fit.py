"""What goes together: method, objective, networks and data, asked before anything is trained."""

from itertools import permutations
from typing import ClassVar, Literal

from torch import nn

from lgan.errors import ConfigError
from lgan.networks.roles import Translator
from lgan.objectives.base import Objective

# What a method may refuse.
Trait = Literal["classes", "pictures", "two_way", "composite", "autoencoder"]


class Declared:
    """What a method says of itself."""

    name: str
    test_mode: str
    has_generator: bool = True  # without one, `generator` is an empty module
    classifies: ClassVar[bool] = True  # whether `classify` knows all classes learnt, if there are
    refuses: ClassVar[dict[Trait, str]] = {}  # what makes no sense with it: why, what instead
    varies: str = ""  # why a step is not the same work each time, on like batches; "": it is
    needs: ClassVar[tuple[str, ...]] = ()
    lacks: ClassVar[tuple[str, ...]] = ()
    """A class does not combine with one that `lacks` anything it `needs`."""


def check_combination(method: type[Declared], name: str) -> None:
    """Refuse a class whose bases do not combine: one needs what another does not leave it."""
    for one, other in permutations(method.__mro__, 2):
        absent = {*vars(one).get("needs", ())} & {*vars(other).get("lacks", ())}
        if "convert" in vars(one) and "convert" in vars(other):
            absent = {"the plain generator, to convert it"}
        if absent and not issubclass(one, other) and not issubclass(other, one):
            raise ConfigError(
                f"method={name}: {one.__name__} needs {min(absent)}, which {other.__name__} does "
                "not leave it; combine other methods."
            )


def check_kind(method: type[Declared], name: str, objective: type[Objective]) -> None:
    """Refuse methods that do not combine, and a kind of task that makes no sense with a method."""
    check_combination(method, name)
    kind = objective.task_kind
    does = "draws classes from noise" if kind == "classes" else "translates pictures"
    _refuse(method, name, kind, f"objective={objective.name}, which {does}")
    if objective.autoencodes:
        what = f"objective={objective.name}, whose generator has an encoder and no critic"
        _refuse(method, name, "autoencoder", what)


def check_fit(
    method: Declared, objective: Objective, generator: nn.Module, discriminator: nn.Module
) -> None:
    """Refuse a method (of which the declarations count), objective and plain networks."""
    check_kind(type(method), method.name, type(objective))
    modes = ("eval",) if objective.task_kind == "classes" else ("eval", "paper")
    if method.test_mode not in modes:
        raise ConfigError(
            f"training.test_mode={method.test_mode} is none of eval and, where pictures are "
            "translated, paper."
        )
    if method.has_generator:
        check_networks(objective, generator, discriminator)
    if isinstance(generator, Translator):
        what = f"network.generator={type(generator).__name__}"
        if len(generator.halves) > 1:
            _refuse(type(method), method.name, "two_way", f"{what}, which translates both ways")
        if len(generator.parts) > 1:
            parts = " and ".join(generator.parts)
            _refuse(type(method), method.name, "composite", f"{what}, a composite of {parts}")


def _refuse(method: type[Declared], name: str, trait: Trait, what: str) -> None:
    for base in method.__mro__:  # of combined methods each has its own reasons
        if trait in vars(base).get("refuses", {}):
            raise ConfigError(f"method={name} does not go with {what}: {base.refuses[trait]}")  # type: ignore[attr-defined]


def check_networks(objective: Objective, generator: nn.Module, discriminator: nn.Module) -> None:
    """Refuse plain networks that an objective cannot train."""
    given = f"network.generator={type(generator).__name__}"
    translates = isinstance(generator, Translator)
    if translates and objective.task_kind == "classes":
        raise ConfigError(
            f"objective={objective.name} makes pictures from noise and a class, and {given} "
            "translates pictures; choose objective=pix2pix, cyclegan or bicyclegan, as the "
            "network is made."
        )
    if not translates and objective.task_kind == "pictures":
        raise ConfigError(
            f"objective={objective.name} translates pictures, and {given} makes them from noise: "
            "it is no lgan.networks.roles.Translator; choose a network that is, or "
            "objective=acgan."
        )
    missing = [a for a in ("z_dim", "num_classes") if not translates and not hasattr(generator, a)]
    if missing:
        raise ConfigError(
            f"{given} has no attribute {missing[0]}; set z_dim, the length of its noise, and "
            "num_classes in its constructor."
        )
    objective.check(generator, discriminator)
