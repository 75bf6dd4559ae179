"""The server behind `warm.python()`: imports what takes long, then forks for every command."""

from __future__ import annotations

import fcntl
import gc
import importlib
import json
import multiprocessing.spawn
import os
import pkgutil
import runpy
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from select import select

import lgan

LIBRARIES = (
    "torch._dynamo", "torchvision.transforms.v2", "torchmetrics", "lightning", "hydra.main",
    "scipy.linalg", "sklearn.datasets", "sklearn.decomposition", "matplotlib.pyplot", "joblib",
)  # fmt: skip
LEFT_OUT = ("lgan.launch.worker", "lgan.run.wandb_logger")
"""It is run by `-m`; and W&B makes a folder when it is imported, which the first to end removes."""
POSING = "LGAN_WARM_NUMBERS"
"""Environment variable by which a command's children know it: its number, and what it poses as."""
HIGH = 500
"""Received files are numbered from here, until they get the numbers they had."""


def serve(client: Path) -> None:
    """Answer until standard input, the tests' process, is closed; return in every command."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(client.with_name("socket")))
        listener.listen(64)
        prepare()
        print("warm", flush=True)
        while listener in select([listener, 0], [], [])[0]:
            connection, _ = listener.accept()
            bury()
            if os.fork() == 0:
                listener.close()
                supervise(connection, client)
                return
            connection.close()
    bury()
    os._exit(0)


def prepare() -> None:
    """Import libraries, and all of lgan but what is run by `-m`."""
    gc.disable()  # it would look through all that is imported again and again
    for library in LIBRARIES:
        with suppress(ModuleNotFoundError):  # some are optional
            importlib.import_module(library)
    for module in pkgutil.walk_packages(lgan.__path__, "lgan."):
        if module.name.split(".")[1] != "cli" and module.name not in LEFT_OUT:
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:  # of an extra that is not installed
                if str(error.name).startswith("lgan"):
                    raise
    assert threading.active_count() == 1, "a thread does not survive a fork"
    gc.collect()
    gc.freeze()
    gc.enable()


def bury() -> None:
    """Wait for the supervisors that have ended: what they took then counts as the tests'."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def supervise(connection: socket.socket, client: Path) -> None:
    """Fork the command and tell the client how it ends; kill it if the client is killed."""
    _, files, *_ = socket.recv_fds(connection, 1, 200)
    request = json.loads(connection.makefile().readline())
    command = os.fork()
    if command == 0:
        connection.close()
        become(request, files, client)
        return
    with suppress(BrokenPipeError):  # killed already, as what follows finds
        connection.sendall(f"{command}\n".encode())
    for file in [*files, 0, 1, 2]:
        os.close(file)
    ended = os.pidfd_open(command)
    if ended not in select([ended, connection], [], [])[0]:
        os.kill(command, signal.SIGKILL)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
    connection.sendall(f"{code}\n".encode())
    os._exit(0)


def become(request: dict, files: list[int], client: Path) -> None:
    """Take on a command's files, folder, environment, arguments and parent."""
    os.setsid()
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD, HIGH) for file in files]
    for file in files:
        os.close(file)
    for file, number in zip(moved, request["files"], strict=True):
        os.dup2(file, number, inheritable=True)
        os.close(file)
    # New ones, as the old ones remember whether their file was a pipe.
    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    pose_as(request["process"], request["parent"])
    sys.executable = str(client)
    multiprocessing.spawn.set_executable(str(client))
    sys.argv = request["arguments"]


def pose_as(client: int, parent: int) -> None:
    """Have the client's number and parent: what started it knows no other."""
    own, getpid, getppid, kill = os.getpid(), os.getpid, os.getppid, os.kill
    if os.environ.get(POSING, "").split(":")[0] == str(parent):  # the parent poses too
        parent = int(os.environ[POSING].split(":")[1])
    os.environ[POSING] = f"{own}:{client}"
    os.getppid = lambda: parent if getpid() == own else getppid()
    os.getpid = lambda: client if getpid() == own else getpid()
    os.kill = lambda process, number: kill(own if process == client else process, number)


def run() -> None:
    """Run a module or a script as Python does."""
    own = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    if sys.argv[0] == "-m":
        sys.argv = sys.argv[1:]
        sys.path[:0] = [os.getcwd(), *own]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[:0] = [str(Path(sys.argv[0]).parent.resolve()), *own]
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
    run()
