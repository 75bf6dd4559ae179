"""The formats of an export: how each is written, and loaded again to be compared.

Sizes stay free: batch, and height and width as far as the network's multiples go. In TorchScript
they are what tracing leaves free.
"""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as fx_config

from lgan.inference.task_network import Part, TaskNetwork
from lgan.networks.pretrained import define_g
from lgan.networks.translation import to_netg

AXES = ("batch", "channels", "rows", "columns")
Inputs = tuple[Tensor, ...]
ONNX_NEEDS = ("onnx", "onnxscript", "onnxruntime")
ONNX_TOLERANCE = 1e-4  # of numbers in [-1, 1], a hundredth of a grey value; other kernels, float32


@dataclass(frozen=True)
class Format:
    """One way to write a network, and to load it again; all are called with the network first."""

    file: str
    write: Callable[[TaskNetwork, Path, Inputs], object]  # to a path; what it is called with
    read: Callable[[TaskNetwork, Path], Callable[..., Tensor]]  # to be called as the network is
    refusal: Callable[[TaskNetwork], str] = lambda network: ""  # why it cannot be written so
    tolerance: float = 0.0  # the largest difference that is accepted when it is loaded again
    packages: tuple[str, ...] = ()  # what it needs beside lgan's own dependencies


def known_formats(fresh: Callable[[], nn.Module]) -> dict[str, Format]:
    """Return all formats by name; `fresh` builds the generator that the run's config describes."""
    save_tensors = partial(save_file, metadata={"format": "pt"})
    load_pickle = partial(torch.load, weights_only=True)
    return {
        # The tensors alone, under the keys of pix2pix's `netG`,
        "safetensors": Format(
            "netG.safetensors",
            lambda network, path, _: save_tensors(to_netg(network.network.state_dict()), path),
            lambda network, path: _with_tensors(_plain(fresh, network), load_file(path)),
            partial(_other_layers, fresh),
        ),
        # and as pix2pix's and CycleGAN's test.py load them, strictly.
        "pix2pix": Format(
            "latest_net_G.pth",
            lambda network, path, _: torch.save(to_netg(network.network.state_dict()), path),
            lambda network, path: _with_tensors(_plain(fresh, network), load_pickle(path)),
            partial(_not_of_define_g, fresh),
        ),
        # To be loaded without lgan.
        "torch_export": Format(
            "generator.pt2",
            lambda network, path, example: torch.export.save(program_of(network, example), path),
            lambda _, path: torch.export.load(path).module(),
        ),
        # For C++ and older programs.
        "torchscript": Format(
            "generator.ts", _write_script, lambda _, path: torch.jit.load(str(path))
        ),
        # Compared by onnxruntime on the CPU.
        "onnx": Format(
            "generator.onnx", _write_onnx, _read_onnx, tolerance=ONNX_TOLERANCE, packages=ONNX_NEEDS
        ),
    }


def _plain(fresh: Callable[[], nn.Module], network: TaskNetwork) -> nn.Module:
    """Return the part of a fresh generator that the network is."""
    whole = fresh()
    return whole.get_submodule(network.part if hasattr(whole, network.part) else "")


def _with_tensors(plain: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    plain.load_state_dict(state)
    return plain.eval()


def _other_layers(fresh: Callable[[], nn.Module], network: TaskNetwork) -> str:
    """Refuse networks that the config's `network.generator` is not the plan of."""
    own, plain = (
        {key: tensor.shape for key, tensor in module.state_dict().items()}
        for module in (network.network, _plain(fresh, network))
    )
    if own == plain and not isinstance(network.network, Part):
        return ""
    return (
        "this method's network of a task has other layers or widths than network.generator, "
        "so that tensors alone do not say what it computes; use torch_export or torchscript."
    )


def _not_of_define_g(fresh: Callable[[], nn.Module], network: TaskNetwork) -> str:
    reason = _other_layers(fresh, network)
    if reason or define_g(network.network.state_dict()):
        return reason
    return (
        "pix2pix's define_G builds no such network: it has U-Nets of 7 or 8 downs and ResNets "
        "of 6 or 9 blocks, with biases under instance norm alone, as lgan's runs have unless "
        "network.generator.bias says otherwise; use safetensors."
    )


@torch.no_grad()
def _write_script(network: TaskNetwork, path: Path, example: Inputs) -> None:
    module = copy.deepcopy(network.network)
    torch.jit.trace(module, example, check_trace=False).save(str(path))


def _write_onnx(network: TaskNetwork, path: Path, example: Inputs) -> None:
    """Write the same program as torch_export."""
    torch.onnx.export(
        program_of(network, example), (), path, dynamo=True, verbose=False,
        input_names=list(network.input_names), output_names=["pictures"],
        external_data=False,  # one file
    )  # fmt: skip
    _name_axes(path)


def _read_onnx(network: TaskNetwork, path: Path) -> Callable[..., Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    known = [entry.name for entry in session.get_inputs()]

    def run(*inputs: Tensor) -> Tensor:
        named = zip(network.input_names, inputs, strict=True)
        # An input that changes nothing, such as a single class's label, is not in the file.
        [pictures] = session.run(None, {name: t.numpy() for name, t in named if name in known})
        return torch.from_numpy(pictures)

    return run


def _name_axes(path: Path) -> None:
    """Name the free sizes of an ONNX file, which torch's exporter numbers."""
    import onnx

    model, names = onnx.load(path), {}
    for value in (*model.graph.input, *model.graph.output):
        for dim, axis in zip(value.type.tensor_type.shape.dim, AXES, strict=False):
            names[dim.dim_param] = axis
    names.pop("", None)  # of sizes that are fixed
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in names:
                dim.dim_param = names[dim.dim_param]
    onnx.save(model, path)


@torch.no_grad()
def program_of(network: TaskNetwork, example: Inputs) -> ExportedProgram:
    """Return the network as a program with free sizes."""
    batch, step = Dim("batch"), network.multiple
    free: dict[str, dict[int, Any]] = {name: {0: batch} for name in network.input_names}
    if network.translates:
        free["picture"] |= {2: Dim("rows") * step, 3: Dim("columns") * step}
        # Traced with two steps a side and more: a side of one step would be taken for a constant.
        example = (example[0].repeat(1, 1, 2, 2), *example[1:])
    shapes: tuple[Any, ...] = tuple(free.values())
    parameters = inspect.signature(network.network.forward).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):  # of columns: forward(*inputs)
        shapes = (shapes,)
    # Without this, the program refuses pictures whose innermost maps have a side of 1: a U-Net's at
    # its own training size.
    with fx_config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
        module = copy.deepcopy(network.network)  # tracing leaves marks in modules that live on
        return torch.export.export(module, example, dynamic_shapes=shapes)
