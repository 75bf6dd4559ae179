"""`lgan-table`: runs to a comparison table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig

from lgan.cli.common import run_script
from lgan.errors import ConfigError, warn
from lgan.files import write_atomically


def as_list(value: Any, key: str, example: str) -> list[Any]:  # noqa: ANN401
    """One value or a list of them, of a config key that must be given.

    Raises:
        ConfigError: the value is absent.
    """
    listed = list(value) if isinstance(value, ListConfig | list) else [value]
    if not listed or any(item in (None, "") for item in listed):
        raise ConfigError(f"{key}=... is missing; for example {key}={example}.")
    return listed


def _run(config: DictConfig) -> None:
    # Imported here so that `--help` answers at once.
    from lgan.results.collect import collect
    from lgan.results.tables import RENDERERS, comparison_tables

    if config.format not in RENDERERS:
        raise ConfigError(f"format={config.format} is none of {', '.join(RENDERERS)}.")
    found = collect(as_list(config.runs, "runs", "outputs"))
    columns = None if config.columns is None else as_list(config.columns, "columns", "forgetting")
    text = RENDERERS[config.format](comparison_tables(found, columns))
    for sentence in found.warnings:
        warn(sentence)
    if config.output is None:
        print(text, end="")
    else:
        write_atomically(Path(config.output), text)
        print(f"written: {config.output}")


def main() -> None:
    """Run the console script `lgan-table`."""
    run_script(_run, "table")


if __name__ == "__main__":
    main()
