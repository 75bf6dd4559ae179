"""Whether two folders of runs ended alike: `python -m benchmarks.same_bits OLD NEW`.

Runs are paired by data set, method and seed, whatever their folders are called. The tensors of the
last border file must be the same bits, and so must every number of the rows of results.json that
the old run has; times differ.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.soak_compare import Absent, unequal, without_times
from lgan.run.borders import load_border
from lgan.run.record import FILE_NAME


def runs_of(folder: Path) -> dict[tuple[str, str, int], Path]:
    """Return the run folders below a folder by data set, method and seed."""
    found = {}
    for path in sorted(folder.glob(f"*/{FILE_NAME}")):
        record = json.loads(path.read_text())
        found[record["data"], record["method"], record["seed"]] = path.parent
    return found


def last_state(run: Path) -> dict[str, Any]:
    """Return the tensors that a run's last task left behind."""
    return load_border(max((run / "checkpoints").glob("task*.pt"), key=_task))["state"]


def _task(path: Path) -> int:
    return int(path.stem.removeprefix("task"))


def missing_or_changed(old: Path, new: Path) -> list[str]:
    """Return what of an old run's tensors and numbers a new run has not, or has otherwise."""
    rows = [without_times(json.loads((run / FILE_NAME).read_text())["rows"]) for run in (old, new)]
    found = [f"tensor {name}" for name in unequal(last_state(old), last_state(new))]
    return found + [f"rows{name}" for name in unequal(*_shared(*rows))]


def _shared(old: Any, new: Any) -> tuple[Any, Any]:  # noqa: ANN401  (any JSON value)
    """Return both, the new one without entries that the old one does not have."""
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = {key: _shared(value, new.get(key, Absent)) for key, value in old.items()}
        return {k: a for k, (a, _) in pairs.items()}, {k: b for k, (_, b) in pairs.items()}
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        both = [_shared(a, b) for a, b in zip(old, new, strict=True)]
        return [a for a, _ in both], [b for _, b in both]
    return old, new


def main() -> None:
    """Compare; print a line for each run; leave with 1 if one differs or is missing."""
    old, new = (runs_of(Path(folder)) for folder in sys.argv[1:3])
    bad = not old
    for key, folder in old.items():
        changed = missing_or_changed(folder, new[key]) if key in new else ["no such run"]
        bad |= bool(changed)
        print(f"{'-'.join(map(str, key)):32s} {'; '.join(changed[:5]) or 'the same bits'}")
    sys.exit(bad)


if __name__ == "__main__":
    main()
