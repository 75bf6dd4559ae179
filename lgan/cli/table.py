"""`lgan-table`: runs to a comparison table."""

from pathlib import Path
from typing import Literal

from lgan.arguments import Text, Texts
from lgan.cli.common import script
from lgan.errors import ConfigError, warn
from lgan.files import write_atomically


@script("table")
def main(
    runs: Texts,
    format: Literal["markdown", "latex", "csv"],
    output: Text | None,
    columns: Texts | None,
) -> None:
    """Run the console script `lgan-table`."""
    from lgan.reports.collect import collect
    from lgan.reports.tables import comparison_tables, latex, markdown, to_csv

    if format == "csv" and columns:
        raise ConfigError(f"columns={columns}: format=csv has every number, on a line of its own.")
    found = collect(runs)
    tables = comparison_tables(found, columns)
    written = {"markdown": markdown, "latex": latex}.get(format)
    text = written(tables) if written else to_csv(found)
    for sentence in found.warnings:
        warn(sentence)
    if output is None:
        print(text, end="")
    else:
        write_atomically(Path(output), text)
        print(f"written: {output}")


if __name__ == "__main__":
    main()
