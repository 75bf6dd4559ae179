"""A short run in a process of its own, to which something happens in the second task."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

from hydra import compose, initialize_config_dir

from lgan.cli.common import config_path, friendly_errors
from lgan.launch.job import run_job
from lgan.methods.base import LifelongGAN
from lgan.run.identity import register_resolvers


def fail_to_write(run: Path, how: str) -> None:
    """Fill the disk, or make the run's folder read-only, for this process alone."""
    if how == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        return
    for folder in (run, run / "checkpoints"):
        folder.chmod(0o555)
    if os.getuid() == 0:
        os.setuid(65534)


def main() -> None:
    """Train; after step 2 of task 1 wait for FLAG.go, or meet a disk that takes nothing more.

    Arguments: FLAG, a file that is made at that moment; "wait", "full" or "read-only"; overrides.
    """
    flag, how, *overrides = sys.argv[1:]
    register_resolvers()
    with initialize_config_dir(config_path(), version_base="1.3"):
        config = compose("train", overrides)
    take = LifelongGAN.training_step

    def meddle(self: LifelongGAN, *args: object) -> None:
        take(self, *args)  # type: ignore[arg-type]
        if (self.task_index, self.step) != (1, 2):
            return
        Path(flag).touch()
        if how != "wait":
            fail_to_write(Path(config.run_dir), how)
        while how == "wait" and not Path(flag + ".go").exists():
            time.sleep(0.02)

    LifelongGAN.training_step = meddle  # type: ignore[method-assign,assignment]
    friendly_errors(run_job)(config)


if __name__ == "__main__":
    main()
