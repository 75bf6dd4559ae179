"""What `warm.python()` is: asks the server for a process, passes signals on, ends as it ended."""

import json
import os
import signal
import socket
import sys

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


def main(real: str) -> None:
    arguments = [a for a in sys.argv[1:] if a != "-u"] if sys.argv[1:2] == ["-u"] else sys.argv[1:]
    if not arguments or arguments[0] != "-m" and not arguments[0].endswith(".py"):
        os.execv(real, [real, *sys.argv[1:]])
    with os.scandir("/proc/self/fd") as entries:
        numbers = sorted(int(entry.name) for entry in entries)
    files = [number for number in numbers if is_open(number)]
    request = {
        "arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd(),
        "process": os.getpid(), "parent": os.getppid(), "files": files,
    }  # fmt: skip
    server = socket.socket(socket.AF_UNIX)
    server.connect(os.path.dirname(sys.argv[0]) + "/socket")
    socket.send_fds(server, [b"\n"], files)
    server.sendall(json.dumps(request).encode() + b"\n")
    answers = server.makefile()
    process = int(answers.readline())
    for number in PASSED_ON:
        signal.signal(number, lambda number, _: os.kill(process, number))
    end(int(answers.readline()))


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:  # it was the list's own
        return False
    return True


def end(code: int) -> None:
    """End with an exit code, or by a signal, a negative one."""
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
