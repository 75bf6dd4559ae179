"""A run's folder: its files, and going on after a stop."""

import platform
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from lgan import __version__
from lgan.errors import RunError
from lgan.files import write_atomically, write_json
from lgan.redaction import redacted
from lgan.run.identity import changes


class RunFolder:
    """The files of one run, in a folder that `open` makes."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.checkpoints = self.path / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"

    def load_config(self) -> DictConfig:
        """Return the config that the run was started with: data, whoever wrote it."""
        if not self.config.exists():
            raise RunError(f"run={self.path} is not a run folder: it has no config.yaml.")
        if not self.config.is_file():  # a pipe would be waited for
            raise RunError(f"{self.config} is no regular file: {self.path} is not a run folder.")
        try:
            config = OmegaConf.load(self.config)
            content = OmegaConf.to_container(config, resolve=False)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise RunError(
                f"{self.config} is damaged and cannot be read as plain YAML: {reason}."
            ) from error
        # References, which lgan never writes, could take the environment's secrets, or be something
        # else once they were looked at.
        if not isinstance(content, dict) or "${" in str(content):
            raise RunError(
                f"{self.config} should be a mapping of plain values, without references (${{...}})."
            )
        return cast(DictConfig, config)

    def border(self, task: int) -> Path:
        """Return where the state after a finished task is kept."""
        return self.checkpoints / f"task{task}.pt"

    def borders(self) -> list[int]:
        """Return the tasks that have left a border file, in order."""
        names = [path.stem.removeprefix("task") for path in self.checkpoints.glob("task*.pt")]
        return sorted(int(name) for name in names if name.isdecimal())

    def open(self, config: DictConfig, resume: bool) -> None:
        """Make the folder for a new run, or refuse one with another config, or without `resume`."""
        if not self.config.exists():
            write_json(self.path / "environment.json", environment())
            content = OmegaConf.to_container(config, resolve=True)
            write_atomically(self.config, OmegaConf.to_yaml(redacted(content)))
            return
        if changed := changes(self.load_config(), config):
            raise RunError(
                f"{self.path} holds a run with another configuration (run -> asked): "
                f"{'; '.join(changed)}. Give run_dir=... another folder, or ask for the run's "
                "own values."
            )
        if not resume:
            raise RunError(
                f"{self.path} holds this run already; resume=true goes on with it, "
                "run_dir=... starts a new one elsewhere."
            )


def environment() -> dict[str, Any]:
    """Return what a run's numbers may depend on beside its config."""
    import torch  # here: tables, which read configs, answer at once

    names = ("torch", "torchvision", "lightning", "hydra-core", "torch-fidelity", "numpy")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {"lgan": __version__} | {name: metadata.version(name) for name in names},
        "git_commit": _git_commit(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "command": sys.argv,
    }


def _git_commit() -> str | None:
    """Return the commit of the checkout lgan runs from, "+" if it was changed; None elsewhere."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40",
               "--dirty=+"]  # fmt: skip
    with suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return None
