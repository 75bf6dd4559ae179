"""`lgan-report`: runs to one HTML file."""

from __future__ import annotations

from pathlib import Path

import hydra
from omegaconf import DictConfig

from lgan.cli import friendly_errors, warn
from lgan.config_path import config_path
from lgan.results.table_cli import as_list, write_text


@friendly_errors
def _report_main(config: DictConfig) -> None:
    # Imported here so that `--help` answers at once.
    from lgan.results.collect import collect
    from lgan.results.report import render

    [output] = as_list(config.output, "output", "report.html")
    found = collect(as_list(config.runs, "runs", "outputs"))
    write_text(Path(output), render(found, config.title))
    for sentence in found.warnings:
        warn(sentence)
    print(f"written: {output}")


def main() -> None:
    """Run the console script `lgan-report`."""
    hydra.main(version_base="1.3", config_path=config_path(), config_name="report")(_report_main)()


if __name__ == "__main__":
    main()
