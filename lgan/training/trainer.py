"""The Trainer that fits one task, and what of Lightning's settings lgan leaves to the user."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import lightning as L
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.plugins import Precision as Plain
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import Strategy
from torch import Tensor

from lgan import distributed
from lgan.arguments import Count, Whole
from lgan.errors import ConfigError
from lgan.training.graph import StepGraphs

Precision = Literal["32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true"]

NOTHING = nullcontext()


class Unprofiled(PassThroughProfiler):
    """Measures nothing, at once: Lightning asks 170 times in a step."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        """Return what does nothing."""
        return NOTHING


class Plainest(Plain):
    """32 bits; of the hooks around an optimizer step only those are called that somebody has."""

    def __init__(self) -> None:
        self._heard: dict[str, bool] = {}  # a Trainer's callbacks stay while it fits its one task

    def pre_backward(self, tensor: Tensor, module: Any) -> Any:  # noqa: ANN401
        """Call the hooks before a backward pass."""
        heard = self.hears("on_before_backward", module)
        return super().pre_backward(tensor, module) if heard else tensor

    def post_backward(self, tensor: Tensor, module: Any) -> Any:  # noqa: ANN401
        """Call the hooks after it."""
        heard = self.hears("on_after_backward", module)
        return super().post_backward(tensor, module) if heard else tensor.detach()

    def _after_closure(self, model: Any, optimizer: Any) -> None:  # noqa: ANN401
        if self.hears("on_before_optimizer_step", model):
            super()._after_closure(model, optimizer)

    def hears(self, hook: str, module: Any) -> bool:  # noqa: ANN401
        """Return whether the module, or a callback, has a hook of its own."""
        if hook not in self._heard:
            empty = {getattr(L.Callback, hook), getattr(L.LightningModule, hook)}
            found = (getattr(owner, hook) for owner in (module, *module.trainer.callbacks))
            self._heard[hook] = any(getattr(f, "__func__", f) not in empty for f in found)
        return self._heard[hook]


def task_trainer(
    *,
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"] = "auto",
    devices: Count | Literal["auto", -1] | Sequence[Whole] = 1,
    num_nodes: Count = 1,
    precision: Precision = "32-true",
    compile: Literal["off", "graph"] = "off",
    strategy: Strategy | None = None,
    sync_batchnorm: bool = False,
    deterministic: bool | Literal["warn"] = False,
    benchmark: bool | None = None,
    profiler: Literal["simple", "advanced"] | None = None,
    callbacks: list[L.Callback] | None = None,
    logger: Any = False,  # noqa: ANN401  (Lightning's: loggers, or False)
    default_root_dir: Any = None,  # noqa: ANN401  (a path)
    enable_progress_bar: bool = False,
) -> L.Trainer:
    """Return a Trainer for one task, which is one epoch to it with a batch for each of its steps.

    The arguments are Lightning's. `devices` are the processes on each of `num_nodes` machines: a
    number, a list of GPUs, or "auto" or -1 (all GPUs). Several need a `strategy` (trainer=ddp);
    `sync_batchnorm` lets batch norms look at the batches of all of them, on GPUs. A mixed
    `precision` is that of the networks' layers in training: weights, statistics of norms, losses
    and gradient penalties are in float32, and so is all that is drawn and measured at borders.
    `compile` "graph" lets a task's steps be recorded and replayed (`lgan.training.graph`).
    """
    given = dict(locals())  # all of them, by the names that Lightning has for them too
    several = devices != 1 and not (isinstance(devices, Sequence) and len(devices) == 1)
    several = several or num_nodes > 1
    check_trainer(several and strategy is None, devices, num_nodes, precision)
    alone = distributed.world() == 1
    given["devices"] = devices if isinstance(devices, int | str) else list(devices)
    given["strategy"] = "auto" if alone or strategy is None else strategy
    if given.pop("compile") == "graph":
        check_graph(accelerator, several, precision)
        given["callbacks"] = [*(callbacks or []), StepGraphs()]
    given["profiler"] = profiler or Unprofiled()
    plain = precision == "32-true"
    given["precision"] = None if plain else precision  # the plugin says it
    trainer = L.Trainer(
        **given,
        plugins=plugins_for(alone, plain),
        max_epochs=1,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
    )
    check_scaled(trainer, precision)
    return trainer


def plugins_for(alone: bool, plain: bool) -> list[Any]:
    """Return what a Trainer of a single process, and one of 32 bits, is told by plugins."""
    if not torch.cuda.is_available():
        # With this of Lightning's each optimizer step would look for NVIDIA's driver, for 0.2 ms.
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    # Lightning would take a single process in a Slurm job for one of several, and hear Slurm's
    # signals itself.
    return [*([LightningEnvironment()] * alone), *([Plainest()] * plain)]


def check_scaled(trainer: L.Trainer, precision: Precision) -> None:
    """Refuse float16 on a CPU, where Lightning would compute in another precision."""
    if precision == "16-mixed" and isinstance(trainer.accelerator, CPUAccelerator):
        raise ConfigError(
            "trainer.precision=16-mixed needs a GPU: on a CPU Lightning would compute in bf16 "
            "instead; choose bf16-mixed or 32-true."
        )


def check_trainer(several: bool, devices: Any, num_nodes: int, precision: Precision) -> None:  # noqa: ANN401
    """Refuse several processes without a strategy for them, and a true precision but 32 bits."""
    if several:
        raise ConfigError(
            f"trainer.devices={devices} and trainer.num_nodes={num_nodes} ask for several "
            "processes, which need trainer=ddp."
        )
    if precision.endswith("true") and precision != "32-true":
        raise ConfigError(
            f"trainer.precision={precision} would keep the weights in a precision in which nothing "
            "is measured, saved or drawn from later; choose 32-true, bf16-mixed or, on a GPU, "
            "16-mixed."
        )


def check_graph(accelerator: str, several: bool, precision: Precision) -> None:
    """Refuse `trainer.compile=graph` where a step cannot be recorded."""
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    reasons = {
        f"trainer.accelerator={accelerator}: it needs a CUDA GPU": not on_gpu,
        "several processes: what they tell each other is not recorded": several,
        f"trainer.precision={precision}: scaling the losses asks the GPU in each step; "
        "bf16-mixed does not": precision == "16-mixed",
    }
    for reason in [reason for reason, applies in reasons.items() if applies]:
        raise ConfigError(f"trainer.compile=graph does not go with {reason}.")
