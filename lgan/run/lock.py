"""One process at a time trains a run."""

import errno
import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lgan.distributed import decided, is_main
from lgan.errors import HeldError, warn
from lgan.files import disk_errors

FILE_NAME = ".lock"
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems answer that know no locks."""


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold a run's folder, made if need be, in a block; if the process dies, the kernel lets go."""
    # Of several processes that train one network rank 0 holds it, and a refusal ends all.
    held: list[IO[str]] = []
    made = [parent for parent in folder.parents if not parent.exists()]
    decided(lambda: held.append(_take(folder)))
    if is_main():
        # A forked worker would hold the lock for longer than this process lives.
        os.register_at_fork(after_in_child=lambda: [file.close() for file in held])
    try:
        yield
    except BaseException:
        with suppress(OSError):  # a folder that holds the lock alone is left by nobody
            if held and [path.name for path in folder.iterdir()] == [FILE_NAME]:
                (folder / FILE_NAME).unlink()
                folder.rmdir()
                for parent in made:
                    parent.rmdir()
        raise
    finally:
        while held:
            held.pop().close()


def _take(folder: Path) -> IO[str]:
    path = folder / FILE_NAME
    with disk_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise HeldError(_refusal(folder, file)) from error
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        warn(f"{folder} is on a file system without locks: do not start the same run twice.")
    with disk_errors(path):
        file.truncate(0)
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        json.dump({"pid": os.getpid(), "host": platform.node(), "since": now}, file)
        file.flush()
    return file


def _refusal(folder: Path, file: IO[str]) -> str:
    file.seek(0)
    try:
        holder = json.load(file)
        who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):  # it has not written its name yet
        who = "another process"
    file.close()
    return f"{folder} is being trained by {who}; wait for it or stop it. Nothing was changed."
