"""Several processes per run: start them, watch them, and say in a sentence what became of them.

The Hydra job resolves its config and starts `torch.distributed`'s elastic agent, which starts
`lgan.launch.worker` once for each device. Lightning's own launcher is not used: it starts the
other ranks with the whole command line, which in a multirun runs the sweep on every rank.
"""

import logging
import os
import pickle
import signal
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import cast

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments import SLURMEnvironment
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from lgan.errors import ConfigError, LganError, RunError
from lgan.run.signals import SIGNALS, StopBySignal, watch

KEPT = "what was trained is kept: the same command goes on from there"
SLURM_PORT = 29500
BRIEF = "--brief"  # to a worker: its run is one of many
LOST = 76  # exit code of a worker that has lost another one: the cause is to be found there
LAUNCHER = "LGAN_LAUNCHER"
"""Environment variable by which workers know the process that must not end before them."""


def processes(config: DictConfig) -> int:
    """Return the number of processes that `trainer` asks for on this machine."""
    if config.trainer.get("strategy") is None:
        return 1
    if config.trainer.get("sync_batchnorm") and not on_gpu(config):
        raise ConfigError(
            "trainer.sync_batchnorm=true needs GPUs: PyTorch has no such layer for CPUs; leave it "
            "false, or choose a network without batch statistics."
        )
    devices, gpus = config.trainer.devices, torch.cuda.device_count() if on_gpu(config) else 0
    if isinstance(devices, ListConfig):
        return len(devices)
    if devices in ("auto", -1):
        return gpus or 1
    if 0 < gpus < int(devices):
        raise ConfigError(
            f"trainer.devices={devices} is more than the {gpus} GPUs of this machine; NCCL takes "
            "one process for each."
        )
    return int(devices)


def on_gpu(config: DictConfig) -> bool:
    """Return whether a config's run is one on GPUs, on this machine."""
    return config.trainer.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def needs_launch(config: DictConfig) -> bool:
    """Return whether this process has to start others, and wait for them."""
    others = processes(config) > 1 or config.trainer.get("num_nodes", 1) > 1
    return others and "TORCHELASTIC_RUN_ID" not in os.environ  # there, somebody's torchrun did


def join(config: DictConfig) -> None:
    """Join the run's other processes: by gloo, on GPUs by NCCL as well."""
    if gpu := on_gpu(config):
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    wait = timedelta(minutes=config.launch.timeout_minutes)
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=wait)


@contextmanager
def process_group(config: DictConfig) -> Iterator[None]:
    """Belong to the processes of somebody's torchrun, if this is one of several."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1 or "TORCHELASTIC_RUN_ID" not in os.environ:
        yield
        return
    join(config)
    yield
    # Not after an error: the others may never come.
    dist.barrier()
    dist.destroy_process_group()


def launch(config: DictConfig, brief: bool = False) -> None:
    """Run a config in several processes; return when all have ended well, or raise why not."""
    # Its accounts of a failure, two pages of them, stay off the screen.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL + 1)
    nodes = config.trainer.get("num_nodes", 1)
    endpoint, job = ("localhost:0", uuid.uuid4().hex) if nodes == 1 else meeting_point(config)
    # `watch` puts the signal handlers back that the agent replaces: a multirun goes on after it.
    with tempfile.TemporaryDirectory(prefix="lgan-") as folder, watch():
        path = Path(folder) / "config.yaml"
        path.write_text(OmegaConf.to_yaml(config, resolve=True))
        settings = LaunchConfig(
            min_nodes=nodes, max_nodes=nodes, nproc_per_node=processes(config), run_id=job,
            rdzv_backend="c10d", rdzv_endpoint=endpoint, max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            signals_to_handle=",".join(s.name for s in SIGNALS),
        )  # fmt: skip
        os.environ[LAUNCHER] = str(os.getpid())
        try:
            elastic_launch(settings, sys.executable)(
                "-m", "lgan.launch.worker", str(path), *([BRIEF] * brief)
            )  # fmt: skip
        except SignalException as stop:
            raise StopBySignal(stop.sigval) from None
        except ChildFailedError as failure:
            raise ending(failure, Path(folder)) from None


def meeting_point(config: DictConfig) -> tuple[str, str]:
    """Return where the machines of a run meet, "host:port", and the name they know it by."""
    name = str(config.run_name)
    if config.launch.rendezvous is not None:
        return str(config.launch.rendezvous), name
    try:
        first = SLURMEnvironment.resolve_root_node_address(os.environ["SLURM_JOB_NODELIST"])
        # Two jobs on a machine take two ports.
        return f"{first}:{SLURM_PORT + int(os.environ['SLURM_JOB_ID']) % 1000}", name
    except KeyError as error:
        raise ConfigError(
            f"trainer.num_nodes={config.trainer.num_nodes} needs launch.rendezvous=HOST:PORT, the "
            "same on every machine, where HOST is one of them; only Slurm tells it by itself."
        ) from error


def ending(failure: ChildFailedError, folder: Path) -> BaseException:
    """Return what to raise for workers that did not end well: the cause, not its consequences."""
    # Once one has failed, the others lose it, and the agent ends them.
    consequences = (LOST, -signal.SIGTERM, 128 + signal.SIGTERM)
    everyone = failure.failures
    causes = {r: f for r, f in everyone.items() if f.exitcode not in consequences} or everyone
    told = sorted(folder.glob("error-*"))
    killed = {rank: f for rank, f in causes.items() if f.exitcode < 0}
    if told and (not killed or causes is everyone):
        return cast(LganError, pickle.loads(told[0].read_bytes()))
    rank, first = min((killed or causes).items())
    if killed:
        name = signal.Signals(-first.exitcode).name
        memory = " (the system does that when memory runs out)" if name == "SIGKILL" else ""
        return RunError(
            f"rank {rank} was ended by {name}{memory}; the others have left, and {KEPT}."
        )
    if first.exitcode - 128 in SIGNALS:
        return StopBySignal(first.exitcode - 128)
    return RunError(
        f"rank {rank} failed with exit code {first.exitcode}; its own words stand above, and "
        f"{KEPT}."
    )


def tell(folder: Path, rank: int, error: LganError) -> None:
    """Write down a worker's error for the process that started it."""
    (folder / f"error-{rank:05}").write_bytes(pickle.dumps(error))
