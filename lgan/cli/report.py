"""`lgan-report`: runs to one HTML file."""

from dataclasses import dataclass
from pathlib import Path

from lgan.arguments import Text, Texts
from lgan.cli.common import script
from lgan.errors import warn
from lgan.files import write_atomically


@dataclass(frozen=True)
class ReportSettings:
    """What conf/report.yaml asks for."""

    runs: Texts
    output: Text
    title: str
    figures: Text | None


@script("report")
def main(asked: ReportSettings) -> None:
    """Run the console script `lgan-report`."""
    from lgan.results.collect import collect
    from lgan.results.figure_files import save_figures
    from lgan.results.report import render

    found = collect(asked.runs)
    write_atomically(Path(asked.output), render(found, asked.title))
    for sentence in found.warnings:
        warn(sentence)
    print(f"written: {asked.output}")
    if asked.figures is not None:
        print(f"written: {save_figures(found, Path(asked.figures))} figures in {asked.figures}")


if __name__ == "__main__":
    main()
