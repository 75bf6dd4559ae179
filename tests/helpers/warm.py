"""A Python that starts warm: a process of a command's own, without seconds of imports.

Importing torch, torchmetrics, torchvision and lightning takes six seconds of a core, a short run
one. `python()` stands in for `sys.executable`: it hands a module (`-m`) or a script to a server
that has imported them and lgan, and forks for it. The command has the environment, folder, open
files and arguments it was started with; signals and how it ends are passed on; what it starts by
`sys.executable` is warm too. For the system it is another process than the one that was started,
which it passes for in Python; and all commands share a seed of hashes.

Tests of how processes start and end use `sys.executable`, and so do one or more of every script,
and those of W&B, whose service looks for the process by its number.
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent


@cache
def python() -> str:
    """Return the path of the warm Python; its server lives as long as this process."""
    folder = Path(tempfile.mkdtemp(prefix="lgan-warm-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    client = folder / "python"
    text = (HERE / "warm_client.py").read_text()
    client.write_text(f"#!{sys.executable} -IS\n{text}\n\nmain({sys.executable!r})\n")
    client.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-P", str(HERE / "warm_server.py"), str(client)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder,
    )  # fmt: skip
    atexit.register(server.communicate)
    assert server.stdout.readline() == b"warm\n"
    return str(client)
