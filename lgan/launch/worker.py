"""`python -m lgan.launch.worker CONFIG.yaml`: one of a run's processes, with a resolved config."""

import ctypes
import logging
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import cast

import torch.distributed as dist
from omegaconf import DictConfig, OmegaConf

from lgan.errors import LganError
from lgan.launch.processes import BRIEF, LAUNCHER, LOST, join, tell
from lgan.training.train import train

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Be killed when the process that started this one ends, however it ends (Linux)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if str(os.getppid()) != os.environ.get(LAUNCHER):  # it has ended already
        os.kill(os.getpid(), signal.SIGKILL)


def work(path: Path) -> int:
    """Train as one rank; return the exit code. Beside the config goes what its parent is told."""
    config = cast(DictConfig, OmegaConf.load(path))
    try:
        join(config)
        train(config, BRIEF in sys.argv)
        dist.barrier()
    except LganError as error:
        tell(path.parent, int(os.environ["RANK"]), error)
        return 1
    except SystemExit as stop:
        return int(stop.code or 0)
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error).lower():
            return LOST  # all it says is that another rank has gone
        raise
    return 0


def main() -> None:
    """Run the worker."""
    die_with_parent()
    try:
        code = work(Path(sys.argv[1]))
    except BaseException:
        traceback.print_exc()
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: the threads of a process group now and then abort an interpreter that ends, and
    # those of a broken one never end. All files are closed, all loggers finished.
    os._exit(code)


if __name__ == "__main__":
    main()
