"""A task's generator step as one CUDA graph: `trainer.compile=graph`.

A step of small networks is hundreds of short kernels, and Python takes longer to launch them than
the GPU to run them. The first steps of a fit are taken as always; then one is recorded, with its
optimizer steps, and from there on replayed with new batches and random numbers in the same memory.
"""

from collections.abc import Callable
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor
from torch.optim import Optimizer

from lgan.errors import ConfigError, warn
from lgan.methods.base import LifelongGAN
from lgan.objectives.base import Batch, Objective
from lgan.seeding import Noise

Step = Callable[[list[Batch]], dict[str, Tensor]]
WARM_UP = 3
"""Steps before the recording, in which libraries and optimizers make what they keep."""


class CudaRecording:
    """Records work of a device, and does it again in the same memory: a CUDA graph."""

    def __init__(self) -> None:
        self.graph = torch.cuda.CUDAGraph()

    def warm_up(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401
        """Do the work and return its result, on a stream of its own, as CUDA graphs ask."""
        stream, current = torch.cuda.Stream(), torch.cuda.current_stream()
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            result = work()
        current.wait_stream(stream)
        return result

    def record(self, work: Callable[[], Any], noise: Noise) -> Any:  # noqa: ANN401
        """Record the work, without doing it; return where its result will be.

        Reseeding `noise` later reseeds the draws of the recording.
        """
        self.graph.register_generator_state(noise.generator)
        # Other threads, of the loader, may ask for pinned memory meanwhile.
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            return work()

    def replay(self) -> None:
        """Do the work again, on what its inputs, `noise` and the weights hold by now."""
        self.graph.replay()


class GraphedStep:
    """A step on batches, which returns its losses by role, recorded once and then replayed.

    `noise` is what it draws from, reseeded before each call.
    """

    def __init__(self, step: Step, noise: Noise, recording: CudaRecording) -> None:
        self.step, self.noise, self.recording = step, noise, recording
        self.taken = 0
        self.inputs: list[Batch] = []
        self.losses: dict[str, Tensor] = {}

    def __call__(self, batches: list[Batch]) -> dict[str, Tensor]:
        """Take the step; return the losses, which the next call overwrites."""
        self.taken += 1
        if self.taken <= WARM_UP:
            return self.recording.warm_up(lambda: self.step(batches))
        if not self.inputs:
            self.inputs = [{key: value.clone() for key, value in b.items()} for b in batches]
            self.losses = self.recording.record(lambda: self.step(self.inputs), self.noise)
        for own, given in zip(self.inputs, batches, strict=True):
            for key, value in own.items():
                value.copy_(given[key], non_blocking=True)
        self.recording.replay()
        return self.losses


def check_recorded(trainer: L.Trainer, method: LifelongGAN) -> None:
    """Refuse a method or objective of which a step that is to be recorded varies."""
    recorded = any(isinstance(c, StepGraphs) for c in cast(Any, trainer).callbacks)
    parts: dict[str, LifelongGAN | Objective] = {"method": method, "objective": method.objective}
    for section, part in parts.items():
        if recorded and part.varies:
            raise ConfigError(
                f"trainer.compile=graph does not go with {section}={part.name}: {part.varies}."
            )


class StepGraphs(L.Callback):
    """Lets each task's steps be recorded and replayed."""

    recording = CudaRecording

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let the task's steps be recorded."""
        assert isinstance(pl_module, LifelongGAN)
        if pl_module.varies:  # since this task
            warn(f"the steps of task {pl_module.task_index} are not recorded: {pl_module.varies}.")
            return
        for optimizer in trainer.optimizers:
            make_capturable(optimizer, pl_module.device)
        graphed = GraphedStep(pl_module.take_steps, pl_module.noise, self.recording())
        pl_module.take_steps = graphed  # type: ignore[method-assign]

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:  # noqa: ANN401
        """Forget the recording, with the memory that it holds, however training ends."""
        vars(pl_module).pop("take_steps", None)

    on_exception = on_train_end  # type: ignore[assignment]


def make_capturable(optimizer: Optimizer, device: torch.device) -> None:
    """Let an optimizer keep its step count and learning rates on the device, or refuse it."""
    for group in optimizer.param_groups:
        if "capturable" not in group:
            raise ConfigError(
                f"optimizer={type(optimizer).__name__} cannot be recorded (it is not capturable); "
                "choose Adam or another that is, or trainer.compile=off."
            )
        group["capturable"] = True
        group["lr"] = torch.as_tensor(group["lr"], device=device)
    for state in optimizer.state.values():
        if "step" in state:
            state["step"] = state["step"].to(device)
