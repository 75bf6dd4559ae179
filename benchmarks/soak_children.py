"""Child processes of a soak: started, waited for, hit, and none of them left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TRAIN = (sys.executable, "-m", "lgan.cli.train")
EXTEND = (sys.executable, "-m", "lgan.cli.extend")
TOKEN = "LGAN_SOAK"
"""A variable of the environment that tells the processes of one child from all others."""
PATIENCE = 300.0
"""Seconds after which a child counts as hung."""


class Child:
    """One `lgan-train` and all processes that it starts.

    Args:
        arguments: of lgan-train.
        log: where its output goes; appended.
        program: what is started in lgan-train's place.
    """

    def __init__(self, arguments: list[str], log: Path, program: Sequence[str] = TRAIN) -> None:
        self.token, self.log = uuid.uuid4().hex, log
        self._began = log.stat().st_size if log.exists() else 0
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        own = {
            TOKEN: self.token,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(paths),
            "WANDB_MODE": "offline",
        }
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | own,
                cwd=ROOT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The first process's id."""
        return self.process.pid

    def output(self) -> str:
        """Return what this child has printed so far."""
        with self.log.open("rb") as file:
            file.seek(self._began)
            return file.read().decode(errors="replace")

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        """Wait until the condition holds; False if the child ended or hung before."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None or time.monotonic() > end:
                return condition()
            time.sleep(0.002)
        return True

    def wait_for_end(self, seconds: float) -> bool:
        """Wait so long at most; return whether the child has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.returncode is not None

    def ended(self) -> int | None:
        """Wait for the child's end and return its exit code; None if it hung and was killed."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill_all()
            return None

    def processes(self) -> list[int]:
        """Return the ids of all live processes that the child started, in whatever session."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._own(pid)]

    def outlived(self, patience: float = 30.0) -> list[int]:
        """Wait for the processes to follow their parent; return those that did not."""
        end = time.monotonic() + patience
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        return left

    def send(self, number: int, pids: list[int]) -> None:
        """Send a signal to processes of this child; those of others are left alone."""
        for pid in pids:
            if self._own(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def kill_all(self) -> None:
        """Kill what is left, and what that starts meanwhile."""
        while left := self.processes():
            self.send(signal.SIGKILL, left)
            self.process.poll()
            time.sleep(0.01)
        self.process.wait()

    def _own(self, pid: int) -> bool:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()  # empty for a zombie
        except OSError:
            return False
        return f"{TOKEN}={self.token}".encode() in environment.split(b"\0")
