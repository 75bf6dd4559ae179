"""metrics.csv: every logged number, as it comes."""

import csv
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from lgan.files import atomic_path, disk_errors


class AppendCSVLogger(Logger):
    """Write `metrics.csv` in long form (step, name, value), line by line, and only ever append.

    Lightning's CSVLogger deletes the file when it is opened again after a crash, and rewrites it
    whenever a new name appears. Here a line is on disk as soon as it is logged.
    """

    COLUMNS = ("step", "name", "value")
    name, version = "csv", ""  # of one file per run

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self._rewound: int | None = None

    @property
    def save_dir(self) -> str:
        """The run's folder."""
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Do nothing: the run's folder holds config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a line per metric; after `rewind` those of its step replace the former ones."""
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if step == self._rewound and self.path.exists():
                self._keep(lambda row: int(row[0]) != step or row[1] not in metrics)
            fresh = not self.path.exists()
            with self.path.open("a", newline="") as file:
                writer = csv.writer(file)
                if fresh:
                    writer.writerow(self.COLUMNS)
                writer.writerows((step, name, float(value)) for name, value in metrics.items())

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Drop lines after `step` and one cut short by a crash; those of `step` may be replaced."""
        self._rewound = step
        if self.path.exists():
            self._keep(lambda row: int(row[0]) <= step)

    def _keep(self, wanted: Callable[[list[str]], bool]) -> None:
        with self.path.open(newline="") as file:
            rows = [r for r in csv.reader(file) if len(r) == len(self.COLUMNS) and r[0].isdigit()]
        kept = [self.COLUMNS, *(row for row in rows if wanted(row))]
        with atomic_path(self.path) as path, path.open("w", newline="") as file:
            csv.writer(file).writerows(kept)
