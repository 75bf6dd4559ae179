"""How many planted faults the tests notice: `python -m benchmarks.mutants -n 200 --seed 0`.

A fault changes one place of one module of `ROOMS`; `benchmarks.mutations` says how. The sample is
drawn without replacement, each room having the share of its possible faults, and shuffled: its
beginning is a fair sample too.

Each fault is tried in a forked process that has imported the libraries but not lgan, on the quick
tests near the module (its own file, those of its room that import it); what lived on, then on the
other quick tests of its room and of `SHARED`; at last on the slow ones of all these files.
Processes that a test starts anew have no fault in them. Tests that hang notice it.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import os
import random
import signal
import sys
import time
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import Any

from benchmarks.mutations import faults_of, plant

ROOMS = ("methods", "callbacks", "data", "metrics", "training")
SHARED = ("training", "methods", "run", "cli", "contributing")
LIBRARIES = ("lightning", "torchmetrics", "torchvision", "hydra", "pytest")


def sample(count: int, seed: int) -> list[tuple[str, int, str]]:
    """Return (file, index of the fault, fault in words) of a sample, stratified by room."""
    drawn, rooms = random.Random(seed), {}
    for room in ROOMS:
        paths = sorted(Path("lgan", room).glob("*.py"))
        trees = [(str(path), ast.parse(path.read_text())) for path in paths]
        rooms[room] = [
            (path, index, f"{path}:{fault[1]}: {fault[0]}")
            for path, tree in trees
            for index, fault in enumerate(faults_of(tree))
        ]
    everything = sum(map(len, rooms.values()))
    print(*(f"{room} {len(found)}" for room, found in rooms.items()), sep=", ", flush=True)
    sampled = [
        fault
        for found in rooms.values()
        for fault in drawn.sample(found, round(count * len(found) / everything))
    ]
    drawn.shuffle(sampled)
    return sampled


def stages(path: str) -> list[list[str]]:
    """Return the test files of a module, the likeliest first."""
    room, name = Path(path).parent.name, Path(path).stem
    files = {str(f): f.read_text() for f in sorted(Path("tests").glob("*/test_*.py"))}
    own = f"tests/{room}/test_{name}.py"
    naming = [f for f, text in files.items() if f"lgan.{room}.{name} " in text and f != own]
    near = [f for f in naming if f"/{room}/" in f]
    first = [own] * (own in files) + (near or naming[:2] if own not in files else near)
    rest = [f for f in naming if f not in first]
    for place in (room, *SHARED):
        rest += [f for f in files if f.split("/")[1] == place and f not in (*first, *rest)]
    return [first or rest[:3], rest]


class Faulty(SourceFileLoader):
    """Finds and loads the module that has a fault, before the others' finders do."""

    def __init__(self, path: str, index: int) -> None:
        name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        super().__init__(name, str(Path(path).resolve()))
        self.index = index

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:  # noqa: ANN401
        """Return the faulty module's spec, None for another's."""
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def get_code(self, fullname: str) -> Any:  # noqa: ANN401
        """Return the faulty module's code."""
        return compile(plant(ast.parse(Path(self.path).read_text()), self.index), self.path, "exec")


def attempt(path: str, index: int, level: int) -> str:
    """Run a fault's tests of one level, up to the first that fails; return how it ended."""
    import pytest

    sys.meta_path.insert(0, Faulty(path, index))  # type: ignore[arg-type]
    first, rest = stages(path)
    files = [first, rest, [*first, *rest]][level]
    options = ["-x", "-q", "-n0", "-p", "no:cacheprovider", "--tb=line"]
    code = pytest.main([*options, "-m", "slow" if level == 2 else "not slow", *files])
    return "lived" if code in (0, 5) else "caught"


def fork(path: str, index: int, level: int, limit: int, out: Path) -> int:
    """Return the process that tries one fault; it writes into `out` how that ended."""
    if pid := os.fork():
        return pid
    try:
        log = os.open(f"{out}.log{level}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1), os.dup2(log, 2)
        signal.alarm(limit)
        out.write_text(attempt(path, index, level))
    except BaseException as error:  # whatever a fault does
        out.write_text("caught")
        print(repr(error), flush=True)
    finally:
        os._exit(0)


def main() -> None:
    """Try a sample, level by level, and print how each fault ended as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--levels", default="012", help="0: near tests, 1: other quick, 2: slow")
    parser.add_argument("--limit", type=int, default=300, help="seconds for each fault and level")
    parser.add_argument("--output", type=Path, default=Path("outputs/mutants"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for library in LIBRARIES:
        importlib.import_module(library)
    running: dict[int, tuple[Path, str, float]] = {}

    def wait() -> None:
        out, words, begun = running.pop(os.wait()[0])
        ended = out.read_text() or "timed out"
        out.write_text(ended)
        seconds = round(time.monotonic() - begun)
        print(json.dumps({"fault": words, "ended": ended, "seconds": seconds}), flush=True)

    faults = sample(args.n, args.seed)
    for level in map(int, args.levels):
        for number, (path, index, words) in enumerate(faults):
            out = args.output / f"{number:03d}"
            done = out.with_suffix(f".done{level}")
            if done.exists() or (out.exists() and out.read_text() != "lived"):
                continue
            done.touch(), out.write_text("")
            pid = fork(path, index, level, args.limit, out)
            running[pid] = (out, f"{number:03d} {level} {words}", time.monotonic())
            if len(running) == 2:
                wait()
        while running:
            wait()


if __name__ == "__main__":
    main()
