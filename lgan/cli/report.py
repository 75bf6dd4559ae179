"""`lgan-report`: runs to one HTML file."""

from pathlib import Path

from lgan.arguments import Text, Texts
from lgan.cli.common import script
from lgan.errors import warn
from lgan.files import write_atomically


@script("report")
def main(runs: Texts, output: Text, title: str, figures: Text | None) -> None:
    """Run the console script `lgan-report`."""
    from lgan.reports.collect import collect
    from lgan.reports.report import render, save_figures

    found = collect(runs)
    write_atomically(Path(output), render(found, title))
    for sentence in found.warnings:
        warn(sentence)
    print(f"written: {output}")
    if figures is not None:
        print(f"written: {save_figures(found, Path(figures))} figures in {figures}")


if __name__ == "__main__":
    main()
