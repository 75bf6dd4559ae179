"""The formats of an export: how each is written, and loaded again to be compared.

Sizes stay free: batch, and height and width as far as the network's multiples go. In TorchScript
they are what tracing leaves free.
"""

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as fx_config

from lgan.inference.task_network import Part, TaskNetwork
from lgan.networks.pretrained import define_g
from lgan.networks.translation import to_netg

AXES = ("batch", "channels", "rows", "columns")
Inputs = tuple[Tensor, ...]
ONNX_TOLERANCE = 1e-4  # of numbers in [-1, 1], a hundredth of a grey value; other kernels, float32


class Format(ABC):
    """One way to write a network."""

    file: str
    tolerance: float = 0.0  # the largest difference that is accepted when it is loaded again
    packages: tuple[str, ...] = ()  # what it needs beside lgan's own dependencies

    @abstractmethod
    def write(self, network: TaskNetwork, path: Path, example: Inputs) -> None:
        """Write the network; `example` is what it is called with."""

    @abstractmethod
    def read(self, network: TaskNetwork, path: Path) -> Callable[..., Tensor]:
        """Return what the file holds, to be called as the network is."""

    def refusal(self, network: TaskNetwork) -> str:
        """Return why this network cannot be written so; "" if it can."""
        return ""


@dataclass
class Safetensors(Format):
    """The tensors alone, under the keys of pix2pix's `netG`."""

    file = "netG.safetensors"
    fresh: Callable[[], nn.Module]  # returns the plain generator that the run's config describes

    def refusal(self, network: TaskNetwork) -> str:
        """Refuse networks that the config's `network.generator` is not the plan of."""
        own, plain = (
            {key: tensor.shape for key, tensor in module.state_dict().items()}
            for module in (network.network, self._plain(network))
        )
        if own == plain and not isinstance(network.network, Part):
            return ""
        return (
            "this method's network of a task has other layers or widths than network.generator, "
            "so that tensors alone do not say what it computes; use torch_export or torchscript."
        )

    def write(self, network: TaskNetwork, path: Path, example: Inputs) -> None:
        """Write the `state_dict`."""
        from safetensors.torch import save_file

        save_file(to_netg(network.network.state_dict()), path, metadata={"format": "pt"})

    def read(self, network: TaskNetwork, path: Path) -> Callable[..., Tensor]:
        """Return a fresh network of the run's config with these tensors."""
        from safetensors.torch import load_file

        plain = self._plain(network)
        plain.load_state_dict(load_file(path))
        return plain.eval()

    def _plain(self, network: TaskNetwork) -> nn.Module:
        """Return the fresh network's part that this one is."""
        fresh = self.fresh()
        return fresh.get_submodule(network.part if hasattr(fresh, network.part) else "")


class Pix2pix(Safetensors):
    """The same tensors as pix2pix's and CycleGAN's test.py load them, strictly."""

    file = "latest_net_G.pth"

    def refusal(self, network: TaskNetwork) -> str:
        """Refuse networks that `define_G` does not build."""
        if reason := super().refusal(network):
            return reason
        if define_g(network.network.state_dict()):
            return ""
        return (
            "pix2pix's define_G builds no such network: it has U-Nets of 7 or 8 downs and ResNets "
            "of 6 or 9 blocks, with biases under instance norm alone, as lgan's runs have unless "
            "network.generator.bias says otherwise; use safetensors."
        )

    def write(self, network: TaskNetwork, path: Path, example: Inputs) -> None:
        """Write the `state_dict`."""
        torch.save(to_netg(network.network.state_dict()), path)

    def read(self, network: TaskNetwork, path: Path) -> Callable[..., Tensor]:
        """Return a fresh network of the run's config with these tensors."""
        plain = self._plain(network)
        plain.load_state_dict(torch.load(path, weights_only=True))
        return plain.eval()


class TorchExport(Format):
    """A program of `torch.export`, to be loaded without lgan."""

    file = "generator.pt2"

    def write(self, network: TaskNetwork, path: Path, example: Inputs) -> None:
        """Trace and write the program."""
        torch.export.save(program_of(network, example), path)

    def read(self, network: TaskNetwork, path: Path) -> Callable[..., Tensor]:
        """Return the program as a module."""
        return torch.export.load(path).module()


class TorchScript(Format):
    """A traced TorchScript file, for C++ and older programs."""

    file = "generator.ts"

    @torch.no_grad()
    def write(self, network: TaskNetwork, path: Path, example: Inputs) -> None:
        """Trace and write the network."""
        module = copy.deepcopy(network.network)
        torch.jit.trace(module, example, check_trace=False).save(str(path))

    def read(self, network: TaskNetwork, path: Path) -> Callable[..., Tensor]:
        """Return the script."""
        return torch.jit.load(str(path))


class Onnx(Format):
    """ONNX, compared by onnxruntime on the CPU."""

    file = "generator.onnx"
    tolerance = ONNX_TOLERANCE
    packages = ("onnx", "onnxscript", "onnxruntime")

    def write(self, network: TaskNetwork, path: Path, example: Inputs) -> None:
        """Write the same program as `TorchExport`, as ONNX."""
        torch.onnx.export(
            program_of(network, example),
            (),
            path,
            input_names=list(network.input_names),
            output_names=["pictures"],
            dynamo=True,
            external_data=False,  # one file
            verbose=False,
        )
        _name_axes(path)

    def read(self, network: TaskNetwork, path: Path) -> Callable[..., Tensor]:
        """Return a function that runs the file."""
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        known = [entry.name for entry in session.get_inputs()]

        def run(*inputs: Tensor) -> Tensor:
            named = dict(zip(network.input_names, (t.numpy() for t in inputs), strict=True))
            # An input that changes nothing, such as a single class's label, is not in the file.
            [pictures] = session.run(None, {name: named[name] for name in known})
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


def known_formats(fresh: Callable[[], nn.Module]) -> dict[str, Format]:
    """Return all formats by name; `fresh` builds the run's plain generator."""
    return {
        "safetensors": Safetensors(fresh),
        "pix2pix": Pix2pix(fresh),
        "torch_export": TorchExport(),
        "torchscript": TorchScript(),
        "onnx": Onnx(),
    }


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
