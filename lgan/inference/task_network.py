"""One task's network of a finished run, as `lgan-translate` and `lgan-export` take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from lgan.errors import ConfigError, RunError, did_you_mean
from lgan.layers.lateral import Columns
from lgan.networks.factory import noise_length
from lgan.networks.roles import Translator
from lgan.seeding import mix

if TYPE_CHECKING:
    from lgan.methods.base import LifelongGAN


class Part(nn.Module):
    """A half of progressive columns of composites, which is no module of its own."""

    def __init__(self, network: Columns, name: str) -> None:
        super().__init__()
        self.network, self.name = network, name

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return what the half makes of the inputs."""
        return self.network.call(self.name, *inputs)


@dataclass(frozen=True)
class TaskNetwork:
    """A task's network, in eval mode, called with the tensors that `input_names` lists in order."""

    task: int
    name: str  # the task's: its class, or its classes
    network: nn.Module
    input_names: tuple[str, ...]  # picture, and BicycleGAN's code; or noise and label
    classes: tuple[int, ...]
    shape: tuple[int, ...]  # (C, H, W) of the input pictures in training, or (z_dim,) of the noise
    multiple: int = 1  # both sides of a picture are multiples of this,
    least: int = 1  # and at least this
    code_length: int = 0  # of BicycleGAN's code
    part: str = ""  # which submodule of the task's whole generator it is; "" for all of it

    @property
    def translates(self) -> bool:
        """Whether it takes pictures."""
        return self.input_names[0] == "picture"

    def fits(self, height: int, width: int) -> bool:
        """Return whether it takes pictures of this size."""
        whole = height % self.multiple == 0 and width % self.multiple == 0
        return whole and min(height, width) >= self.least

    def code(self, seed: int, first: int, count: int) -> Tensor:
        """Return the codes (count, code_length) of pictures first, first + 1, ... of a folder."""
        seeds = (mix(seed, "code", index) for index in range(first, first + count))
        sources = (torch.Generator().manual_seed(own) for own in seeds)
        return torch.stack([torch.randn(self.code_length, generator=own) for own in sources])


def find(
    key: str, asked: object, names: Mapping[int, str], unknown: str = "has not been learnt"
) -> int:
    """Return the number of a task or class that is given by its number or its name.

    A number counts from 0 and comes before an equal name; a text is a name first. `key` is what
    was set, for errors, which list all there are.
    """
    known = asked is not None and not isinstance(asked, bool)
    if known and isinstance(asked, Integral) and int(asked) in names:
        return int(asked)
    alike = [number for number, name in names.items() if known and name == str(asked)]
    if len(alike) == 1:
        return alike[0]
    if isinstance(asked, str) and asked.isdecimal() and int(asked) in names:
        return int(asked)
    there = ", ".join(f"{number} ({name})" for number, name in names.items())
    what = "is missing" if asked is None else "is the name of several" if alike else unknown
    near = did_you_mean(asked, names.values()) if isinstance(asked, str) and not alike else ""
    raise ConfigError(
        f"{key}={'...' if asked is None else asked} {what}{near}; choose one of {there}."
    )


def find_task(border: dict[str, Any], task: int | str | None) -> int:
    """Return the number of a learnt task given by number or name."""
    return find("task", task, dict(enumerate(task_names(border))))


def task_names(border: dict[str, Any]) -> list[str]:
    """Return the name of each task learnt: that of its class, or of its classes."""
    learnt = border["task_classes"][: border["task"] + 1]
    return ["+".join(str(border["class_names"][c]) for c in classes) for classes in learnt]


def class_names(border: dict[str, Any]) -> dict[int, str]:
    """Return number and name of each class learnt, in the order of the tasks."""
    learnt = border["task_classes"][: border["task"] + 1]
    return {c: str(border["class_names"][c]) for classes in learnt for c in classes}


@torch.no_grad()
def task_network(
    method: LifelongGAN, border: dict[str, Any], task: int, direction: str = "forward"
) -> TaskNetwork:
    """Return a finished task's network of what `load_run` returns; CycleGAN's go "backward" too."""
    if not method.has_generator:
        raise RunError(f"method={method.name} has no generator; choose another run.")
    network = method.network_of(task).eval()
    plain = network.columns[-1] if isinstance(network, Columns) else network
    name, classes = task_names(border)[task], tuple(border["task_classes"][task])
    halves = plain.halves if isinstance(plain, Translator) else {"forward": ""}
    if direction not in halves:
        only = "" if "backward" in halves else "; only objective=cyclegan learns both ways"
        ways = ", ".join(halves)
        raise ConfigError(f"direction={direction} is none of this run's: {ways}{only}.")
    if not isinstance(plain, Translator):
        shape = (noise_length(plain),)
        return TaskNetwork(task, name, network, ("noise", "label"), classes, shape)
    part = halves[direction]
    half = cast(Translator, plain.get_submodule(part))
    first = next(m for m in half.modules() if isinstance(m, nn.Conv2d))
    if part and isinstance(network, Columns):
        network = Part(network, part).eval()
    else:
        network = network.get_submodule(part)
    inputs = ("picture", "code") if half.code_length else ("picture",)
    size = (first.in_channels - half.code_length, *border["image_shape"][1:])
    return TaskNetwork(
        task, name, network, inputs, classes, size,
        multiple=half.multiple, least=half.least, code_length=half.code_length, part=part,
    )  # fmt: skip
