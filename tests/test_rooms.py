"""The rooms of the house: who may import whom, and how little `import lgan` costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "lgan"
FLOORS = (
    ("errors", "seeding", "arguments", "redaction"),
    ("files", "distributed", "cache", "progress"),
    ("data", "networks"),
    ("layers", "objectives", "run"),
    ("metrics",),
    ("callbacks", "reports"),
    ("methods", "plot"),
    ("training",),
    ("launch", "inference"),
    ("api",),
    ("cli",),
)
"""Rooms and loose modules from the ground up: each imports from its own floor or from below."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imported(path: Path) -> set[str]:
    """Return the rooms that a file imports from, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {room(n) for n in names if n.split(".")[0] == "lgan"} & set(FLOOR)


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=str)
def test_imports_run_one_way(path: Path) -> None:
    own = path.relative_to(ROOT).with_suffix("").parts[0]
    if own == "__init__":
        return
    above = {other for other in imported(path) if FLOOR[other] > FLOOR[own]}
    assert not above, f"{own} imports from above: {above}"
    beside = {o for o in imported(path) if FLOOR[o] == FLOOR[own]} - {own}
    back = {o for o in beside for f in ROOT.glob(f"{o}/**/*.py") if own in imported(f)}
    assert not back, f"{own} and {back} import each other"


def test_every_room_has_a_floor() -> None:
    found = {p.stem for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert found - {"__init__"} <= set(FLOOR)


def test_importing_lgan_imports_nothing_heavy() -> None:
    heavy = "[m for m in ('torch', 'lightning', 'hydra', 'numpy', 'pandas') if m in sys.modules]"
    code = f"import sys, lgan; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("script", ["train", "extend", "sample", "table", "paper"])
def test_help_waits_for_nothing_heavy(script) -> None:
    """Importing torch alone takes longer than all that a script needs to answer."""
    heavy = "[m for m in ('torch', 'lightning', 'matplotlib') if m in sys.modules]"
    code = f"""
import sys
from lgan.cli.{script} import main
sys.argv = ["lgan-{script}", "--help"]
try:
    main()
except SystemExit:
    pass
print({heavy})"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]" and "lgan" in done.stdout
