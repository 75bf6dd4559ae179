"""`lgan-table`: runs to a comparison table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lgan.arguments import Text, Texts
from lgan.cli.common import script
from lgan.errors import warn
from lgan.files import write_atomically


@dataclass(frozen=True)
class TableSettings:
    """What conf/table.yaml asks for."""

    runs: Texts
    format: Literal["markdown", "latex", "csv"]
    output: Text | None
    columns: Texts | None


@script("table")
def main(asked: TableSettings) -> None:
    """Run the console script `lgan-table`."""
    from lgan.results.collect import collect
    from lgan.results.tables import RENDERERS, comparison_tables

    found = collect(asked.runs)
    text = RENDERERS[asked.format](comparison_tables(found, asked.columns))
    for sentence in found.warnings:
        warn(sentence)
    if asked.output is None:
        print(text, end="")
    else:
        write_atomically(Path(asked.output), text)
        print(f"written: {asked.output}")


if __name__ == "__main__":
    main()
