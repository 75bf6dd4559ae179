"""`lgan-train`: train one method on one task sequence."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from lgan.cli.common import run_script
from lgan.launch.sweep import objective_value
from lgan.run.folder import register_resolvers


def _run(config: DictConfig) -> float | None:
    # Imported here: Lightning takes seconds, and `--help` needs none of it.
    from lgan.launch.processes import launch, needs_launch, process_group
    from lgan.run import signals
    from lgan.training.train import train

    with signals.passed_on():
        if needs_launch(config):
            launch(config)
            folder = Path(config.run_dir)
        else:
            with process_group(config):
                folder = train(config)
    print(f"finished: {folder}", flush=True)
    return objective_value(config, folder)


def main() -> None:
    """Run the console script `lgan-train`."""
    register_resolvers()
    run_script(_run, "train")


if __name__ == "__main__":
    main()
