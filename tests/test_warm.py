"""The tests' warm Python: what a command is given, and how it ends, are a process's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import warm

pytestmark = pytest.mark.slow

TELL = """
import json, os, sys
assert __name__ == "__main__" and "torch" in sys.modules
facts = [sys.argv[1:], os.getcwd(), os.environ["WORD"], os.getpid(), os.getppid(), sys.path[1]]
os.write(int(sys.argv[1]), b"a file of its own")
print(json.dumps(facts), file=sys.stderr)
print(sys.stdin.read())
sys.exit(7)
"""


def test_a_command_is_given_what_it_was_started_with(tmp_path: Path) -> None:
    (tmp_path / "tell.py").write_text(TELL)
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [warm.python(), "-u", "tell.py", str(writing), "a b"], cwd=tmp_path, text=True,
        env={"WORD": "hush", "PYTHONPATH": "/somewhere"}, pass_fds=[writing],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = process.communicate("said")
    assert process.returncode == 7 and out == "said\n", err
    own = [[str(writing), "a b"], str(tmp_path), "hush", process.pid, os.getpid(), "/somewhere"]
    assert json.loads(err) == own
    assert os.read(reading, 99) == b"a file of its own"
    os.close(reading), os.close(writing)


def test_what_a_command_starts_knows_its_parent_by_the_number_it_has(tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text("import os\nprint(os.getppid())\n")
    (tmp_path / "parent.py").write_text(
        "import os, subprocess, sys\n"
        "told = subprocess.run([sys.executable, 'child.py'], capture_output=True, text=True)\n"
        "print(os.getpid(), told.stdout)\n"
    )
    process = subprocess.Popen(
        [warm.python(), "parent.py"], cwd=tmp_path, text=True, stdout=subprocess.PIPE
    )
    assert process.communicate()[0].split() == [str(process.pid)] * 2


def test_errors_and_other_options_are_pythons_own(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("raise ValueError('a bug')")
    bad = subprocess.run([warm.python(), "bad.py"], cwd=tmp_path, capture_output=True, text=True)
    assert bad.returncode == 1 and bad.stderr.endswith("ValueError: a bug\n")
    plain = [warm.python(), "-c", "import sys; print(sys.executable, 'torch' in sys.modules)"]
    out = subprocess.run(plain, capture_output=True, text=True, check=True).stdout
    assert out == f"{sys.executable} False\n"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_signals_are_passed_on_and_end_it(tmp_path: Path, signum: signal.Signals) -> None:
    (tmp_path / "wait.py").write_text(
        "import os, pathlib, time\n"
        "pathlib.Path('lock').write_text(os.readlink('/proc/self'))\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([warm.python(), "wait.py"], cwd=tmp_path)
    while not ((tmp_path / "lock").exists() and (tmp_path / "lock").read_text()):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signum)
    assert process.wait(30) == -signum
    until = time.monotonic() + 30
    while Path("/proc", (tmp_path / "lock").read_text()).exists():
        assert time.monotonic() < until, "it outlives what was killed"
        time.sleep(0.02)


def test_a_command_may_kill_itself(tmp_path: Path) -> None:
    (tmp_path / "kill.py").write_text("import os\nos.kill(os.getpid(), 9)\nprint('alive')\n")
    dead = subprocess.run([warm.python(), "kill.py"], cwd=tmp_path, capture_output=True)
    assert (dead.returncode, dead.stdout) == (-signal.SIGKILL, b"")
