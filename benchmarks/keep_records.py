"""Copy the records of complete runs: what tables are made of, without the machine's folders."""

import argparse
import json
from pathlib import Path

from lgan.files import write_atomically
from lgan.run.record import FILE_NAME, RunRecord


def keep(runs: Path, records: Path) -> list[Path]:
    """Copy config and results of each complete run below `runs`; return the new folders.

    The home folder becomes ~, the data's its last name.
    """
    made = []
    for path in sorted(runs.rglob(FILE_NAME)):
        run, kept = path.parent, records / path.parent.name
        if RunRecord.load(run).complete and not (kept / FILE_NAME).exists():
            kept.mkdir(parents=True, exist_ok=True)
            config = (run / "config.yaml").read_text().replace(str(Path.home()), "~")
            write_atomically(kept / "config.yaml", config)
            write_atomically(kept / FILE_NAME, without_root(path.read_text()))  # now it is whole
            made.append(kept)
    return made


def without_root(results: str) -> str:
    """Return results.json's text with the last name only of the folder that the data came from."""
    root = json.loads(results)["content"].get("root")
    return results.replace(json.dumps(root), json.dumps(Path(root).name)) if root else results


def main() -> None:
    """Copy and say what was copied."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, help="folder with finished runs")
    parser.add_argument("records", type=Path, help="folder below experiments/records")
    asked = parser.parse_args()
    for folder in keep(asked.runs, asked.records):
        print(f"kept: {folder}")


if __name__ == "__main__":
    main()
