"""`lgan-train`: train one method on one task sequence, or many in a sweep."""

from omegaconf import DictConfig

from lgan.cli.common import run_script
from lgan.launch.job import run_job
from lgan.launch.sweep import noted, run_app
from lgan.run.identity import register_resolvers

register_resolvers()  # a sweep's jobs compose their configs in processes that only import this


def _run(config: DictConfig) -> float | None:
    return noted(run_job, config)


def main() -> None:
    """Run the console script `lgan-train`."""
    run_app(lambda: run_script(_run, "train"))


if __name__ == "__main__":
    main()
