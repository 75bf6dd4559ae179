"""Starting a generator from a checkpoint: pix2pix's, CycleGAN's or BicycleGAN's, or an export's.

The keys are those of their code: what is left is to read safely, and to say what does not fit.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lgan.errors import ConfigError
from lgan.networks.roles import Translator
from lgan.networks.translation import from_netg

KEY = "method.init_from"
SHOWN = 3
State = Mapping[str, Tensor]
_FIRST = {
    "model.model.0.weight": "UnetGenerator",
    "model.1.weight": "ResnetTranslator",
    "model.down.0.weight": "BicycleUnet",
}


@dataclass(frozen=True)
class Pretrained:
    """The tensors of a checkpoint, and where they are from."""

    path: str
    state: State


def read_checkpoint(path: str | Path) -> Pretrained:
    """Read a netG checkpoint, `*.safetensors` or torch.save's; code in a pickle is refused."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(f"{KEY}={path} is no file; give a checkpoint such as latest_net_G.pth.")
    try:
        if file.suffix == ".safetensors":
            content = load_file(file)
        else:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and safetensors raise many kinds for damaged files
        raise ConfigError(
            f"{KEY}={path} is damaged or holds more than tensors, and was not loaded "
            f"({type(error).__name__}); give a state_dict that torch.load(..., weights_only=True) "
            "reads, or a .safetensors file."
        ) from error
    tensors = isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    )
    if not tensors or not content:
        raise ConfigError(
            f"{KEY}={path} holds no state_dict, that is, tensors by name; save the generator's "
            "state_dict alone."
        )
    return Pretrained(str(path), from_netg(content))


def read_checkpoints(paths: str | Sequence[str] | None) -> tuple[Pretrained, ...]:
    """Read one checkpoint, a list of them, or none."""
    if paths is None:
        return ()
    return tuple(map(read_checkpoint, [paths] if isinstance(paths, str) else paths))


def initialise(generator: nn.Module, checkpoints: Sequence[Pretrained]) -> None:
    """Load checkpoints into a plain generator, or into the first `parts` of a composite one."""
    names = generator.parts if isinstance(generator, Translator) else ("",)
    if len(checkpoints) > len(names):
        raise ConfigError(
            f"{KEY} names {len(checkpoints)} files, and network.generator has {len(names)} "
            f"network{'s' if len(names) > 1 else ''} to start; name as many at most."
        )
    for name, checkpoint in zip(names, checkpoints, strict=False):
        load_fitting(generator.get_submodule(name), checkpoint)


def load_fitting(network: nn.Module, checkpoint: Pretrained) -> None:
    """Load a checkpoint whose keys and shapes are the network's.

    Zeros stand for absent biases (pix2pix has none before batch norms) and counts of batches.
    """
    own, found = network.state_dict(), dict(checkpoint.state)
    layers = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
    biases = {f"{name}.bias" for name, m in network.named_modules() if isinstance(m, layers)}
    for name in own.keys() - found.keys():
        if name in biases or name.endswith("num_batches_tracked"):
            found[name] = torch.zeros_like(own[name])
    missing = [key for key in own if key not in found]
    unexpected = [key for key in found if key not in own]
    other = [
        f"{key} {tuple(found[key].shape)} instead of {tuple(own[key].shape)}"
        for key in own
        if key in found and found[key].shape != own[key].shape
    ]
    problems = (("missing keys", missing), ("unexpected keys", unexpected), ("shapes", other))
    if any(names for _, names in problems):
        said = "; ".join(f"{what}: {_some(names)}" for what, names in problems if names)
        raise ConfigError(
            f"{KEY}={checkpoint.path} does not fit network.generator ({type(network).__name__}): "
            f"{said}. {advice(checkpoint.state)}"
        )
    network.load_state_dict(found)


def advice(state: State) -> str:
    """Return a sentence that says which network a checkpoint is of, as settings."""
    found = recognise(state)
    if not found:
        return "It is no U-Net, ResNet or BicycleGAN generator that lgan knows."
    network, channels = found.pop("network"), found.pop("channels", (3, 3))
    settings = " ".join(f"{k}={str(v).lower()}" for k, v in found.items())
    said = f"It fits {network} with {settings} (keys of network.generator)."
    known = {(3, 3): "", (1, 1): " Its pictures are grey: data.splits.channels=1."}
    odd = f" It makes {channels[1]} channels of {channels[0]}; pairs have 1 or 3 on both sides."
    return said + known.get(channels, odd)


def recognise(state: State) -> dict[str, Any]:
    """Return the network and the settings a netG checkpoint was made with; {} if unknown.

    A norm of instances has no tensors; pix2pix's code gives biases with it, none without a norm.
    """
    first = next((key for key in _FIRST if key in state and state[key].ndim == 4), None)
    if first is None:
        return {}
    convolutions = [k for k, v in state.items() if k.endswith(".weight") and v.ndim == 4]
    bias = first.replace("weight", "bias") in state
    batch = any(key.endswith(".running_mean") for key in state)
    norm = "batch" if batch else "instance" if bias else "none"
    found = {"network": _FIRST[first], "ngf": state[first].shape[0], "norm": norm}
    if first == "model.1.weight":
        blocks = {m[1] for k in state if (m := re.match(r"model\.(\d+)\.conv_block\.", k))}
        # Dropout between the two convolutions of a block moves the second one's number up.
        dropout = any(key.endswith("conv_block.6.weight") for key in convolutions)
        found |= {"blocks": len(blocks), "dropout": dropout}
    else:
        found["downs"] = len(convolutions) // 2
    if first != "model.down.0.weight":
        outputs = state[convolutions[-1]].shape["downs" in found]  # of a transposed one: its second
        found |= {"bias": bias, "channels": (state[first].shape[1], outputs)}
    return found


def define_g(state: State) -> dict[str, Any]:
    """Return the arguments of pix2pix's `define_G` whose network a state loads into; {} if none."""
    found = recognise(state)
    kinds = {("downs", 7): "unet_128", ("downs", 8): "unet_256", ("blocks", 6): "resnet_6blocks",
             ("blocks", 9): "resnet_9blocks"}  # fmt: skip
    name = next((kinds[item] for item in found.items() if item in kinds), None)
    if name is None or found.get("bias") != (found["norm"] == "instance"):
        return {}
    inputs, outputs = found["channels"]
    channels = {"input_nc": inputs, "output_nc": outputs}
    return channels | {"ngf": found["ngf"], "netG": name, "norm": found["norm"]}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
