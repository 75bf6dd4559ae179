"""One task's generator of a finished run as a plain network for other programs."""

import math
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lgan.errors import ConfigError, RunError
from lgan.inference.formats import Format, known_formats
from lgan.inference.task_network import TaskNetwork
from lgan.methods.base import LifelongGAN
from lgan.networks.pretrained import define_g

REPORT = "export.json"


def export(
    network: TaskNetwork, formats: dict[str, Format], output: Path, seed: int = 0
) -> dict[str, Any]:
    """Write a network, on the CPU, in some formats, load each again, and compare.

    Returned is what export.json says of each format: its file, bytes, and the largest difference
    of a number in [-1, 1]; or the reason why it was refused. `seed` gives the inputs to compare on.
    """
    output.mkdir(parents=True, exist_ok=True)
    inputs = example_inputs(network, seed)
    return {name: _export(network, made, output, inputs) for name, made in formats.items()}


def example_inputs(network: TaskNetwork, seed: int) -> list[tuple[Tensor, ...]]:
    """Return inputs to compare on: two pictures, or noises with labels, then one, larger."""
    source = torch.Generator().manual_seed(seed)
    found: list[tuple[Tensor, ...]] = []
    for count, more in ((2, 0), (1, 1)):
        if not network.translates:
            labels = torch.tensor(network.classes * count)[:count]
            found.append((torch.randn(count, *network.shape, generator=source), labels))
            continue
        channels, height, width = network.shape
        # Neither square nor of the training size.
        size = (height + more * network.multiple, width + 2 * more * network.multiple)
        pictures = (torch.rand(count, channels, *size, generator=source) * 2 - 1,)
        found.append(pictures + ((network.code(seed, 0, count),) if network.code_length else ()))
    return found


@torch.no_grad()
def largest_difference(
    network: TaskNetwork, loaded: Callable[..., Tensor], inputs: Sequence[tuple[Tensor, ...]]
) -> float:
    """Return by how much a loaded network's numbers differ at most; NaN counts as infinite."""
    differences = [(loaded(*each) - network.network(*each)).abs().max() for each in inputs]
    return torch.stack(differences).nan_to_num(math.inf, math.inf).max().item()


def choose_formats(names: Sequence[str], method: LifelongGAN) -> dict[str, Format]:
    """Return the formats asked for by name, whose packages are installed."""
    known = known_formats(method.networks.build_generator)
    for name in names:
        if absent := [each for each in known[name].packages if find_spec(each) is None]:
            needs = ", ".join(absent)
            raise ConfigError(f"formats={name} needs {needs}: pip install 'lgan[export]'.")
    return {name: known[name] for name in names}


def describe(network: TaskNetwork) -> dict[str, Any]:
    """Return what a user of the files must know of inputs and outputs, as plain data."""
    facts: dict[str, Any] = {
        "task": network.task,
        "name": network.name,
        "inputs": list(network.input_names),
        "parameters": sum(p.numel() for p in network.network.parameters()),
        "output": "pictures (batch, channels, height, width) in [-1, 1]; 8 bits: (x + 1) * 127.5",
    }
    if not network.translates:
        facts |= {"noise": f"normal (batch, {network.shape[0]})", "labels": list(network.classes)}
        return facts
    facts["picture"] = "(batch, channels, height, width), RGB or grey in [-1, 1]: x / 127.5 - 1"
    facts |= {"channels": network.shape[0], "training_size": list(network.shape[1:])}
    facts |= {"sides_multiple_of": network.multiple, "sides_at_least": network.least}
    if arguments := define_g(network.network.state_dict()):
        dropout = any(isinstance(m, nn.Dropout) for m in network.network.modules())
        facts["define_G"] = arguments | {"use_dropout": dropout}
    if network.code_length:
        facts["code"] = f"normal (batch, {network.code_length})"
    return facts


def _export(
    network: TaskNetwork, made: Format, output: Path, inputs: list[tuple[Tensor, ...]]
) -> dict[str, Any]:
    path = output / made.file
    if reason := made.refusal(network):
        return {"refused": reason}
    try:
        with warnings.catch_warnings():  # advice on formats, which users chose
            warnings.simplefilter("ignore")
            made.write(network, path, inputs[0])
            difference = largest_difference(network, made.read(network, path), inputs)
    except Exception as error:  # torch's exporters raise many kinds
        path.unlink(missing_ok=True)
        first = (str(error).strip() or "no reason given").splitlines()[0]
        return {"refused": f"torch could not write it ({type(error).__name__}: {first})"}
    if difference > made.tolerance:
        path.unlink(missing_ok=True)
        raise RunError(
            f"{made.file} differs from the run's network by {difference:.3g}, more than "
            f"{made.tolerance:g}, and was removed; leave this format out."
        )
    sizes = [[list(tensor.shape) for tensor in arguments] for arguments in inputs]
    facts = {"file": made.file, "bytes": path.stat().st_size}
    return facts | {"difference": difference, "compared_on": sizes}
