"""Building fresh networks, each from a seed of its own."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self, cast

import torch
from torch import nn

from lgan.errors import ConfigError
from lgan.networks.pretrained import Pretrained, initialise
from lgan.seeding import mix

WIDTHS = ("ngf", "width")  # what networks call the channels of their first or last hidden layer
INNER = ("translator", "decoder", "told")  # what composites call the generator inside


def noise_length(generator: nn.Module) -> int:
    """Return the length of the noise that a generator of classes takes."""
    return cast(Any, generator).z_dim


@dataclass(frozen=True)
class NetworkFactory:
    """Builds generators, discriminators and classifiers for one data set.

    A method asks for as many as it needs (one pair, one per task, a solver beside them); the same
    seed and purpose always give the same initial weights, whatever was drawn before.
    """

    generator: Callable[..., nn.Module]  # (image_shape, num_classes) -> network
    discriminator: Callable[..., nn.Module]  # the same
    image_shape: tuple[int, int, int]  # (C, H, W)
    num_classes: int  # rows that networks have for classes
    seed: int = 0
    pretrained: tuple[Pretrained, ...] = ()  # what the first task's generator starts with

    def scaled(self, factor: float, *roles: str) -> Self:
        """Return a factory whose generators, or networks of `roles`, are `factor` times as wide."""
        if factor == 1:
            return self
        wide: dict[str, Any] = {
            role: _narrowed(getattr(self, role), factor, role) for role in roles or ("generator",)
        }
        return replace(self, **wide)

    def build_generator(self, task: int = 0) -> nn.Module:
        """Return a fresh generator; `task` picks its initial weights."""
        generator = self.build(self.generator, "generator", task)
        if task == 0:
            initialise(generator, self.pretrained)
        return generator

    def build_discriminator(self, task: int = 0) -> nn.Module:
        """Return a fresh discriminator; `task` picks its initial weights."""
        return self.build(self.discriminator, "discriminator", task)

    def build(self, network: Callable[..., nn.Module], *purpose: str | int) -> nn.Module:
        """Return `network(image_shape, num_classes)` initialised from (seed, purpose)."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mix(self.seed, "init", *purpose))
            return network(self.image_shape, self.num_classes)


def _narrowed(make: Callable[..., nn.Module], factor: float, role: str) -> Callable[..., nn.Module]:
    """Return what makes a network of another width; of a composite, its generator's."""
    settings = make.keywords if isinstance(make, partial) else {}
    inner = [part for part in INNER if part in settings]
    if inner:
        inner += ["encoder"] * ("decoder" in inner)
        return partial(make, **{part: _narrowed(settings[part], factor, role) for part in inner})
    known = inspect.signature(make).parameters  # with what a yaml file sets for defaults
    key = next((key for key in WIDTHS if key in known), "width")
    width = known[key].default if key in known else None
    if not isinstance(width, int) or width * factor != int(width * factor):
        raise ConfigError(
            f"method.width={factor} does not make a whole number of network.{role}.{key}="
            f"{width}; choose another share or network."
        )
    return partial(make, **{key: int(width * factor)})
