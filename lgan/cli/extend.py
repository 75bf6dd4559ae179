"""`lgan-extend`: further tasks for a finished run, in a run of their own."""

from omegaconf import DictConfig

from lgan.cli.common import run_script
from lgan.launch.job import run_job
from lgan.launch.sweep import noted, run_app
from lgan.run.identity import register_resolvers


def _run(config: DictConfig) -> float | None:
    from lgan.launch.extension import extension_of  # imports torch, which --help does not need

    return noted(run_job, config, extension_of)


def main() -> None:
    """Run the console script `lgan-extend`."""
    register_resolvers()
    run_app(lambda: run_script(_run, "extend"))


if __name__ == "__main__":
    main()
