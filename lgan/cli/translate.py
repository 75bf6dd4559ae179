"""`lgan-translate`: a folder of pictures through one task of a finished run."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from lgan.cli.common import run_script
from lgan.errors import ConfigError
from lgan.inference.translate import check_output, choose_device, list_pictures, plan, translate


def _run(config: DictConfig) -> None:
    from lgan.inference.sample import load_run
    from lgan.inference.task_network import find_task, task_network

    for key in ("run", "input", "output"):
        if config[key] is None:
            raise ConfigError(f"{key}=... is missing; see lgan-translate --help.")
    if not isinstance(config.batch_size, int) or config.batch_size < 1:
        raise ConfigError(f"batch_size={config.batch_size} must be at least 1.")
    if config.test_mode not in (None, "eval", "paper"):
        raise ConfigError(f"test_mode={config.test_mode} is unknown; use eval, paper or null.")
    device = choose_device(config.device)
    method, border = load_run(config.run, config.after, config.trust)
    task = find_task(border, config.task)
    network = task_network(method, border, task, config.direction)
    if not network.translates:
        raise ConfigError(
            f"run={config.run} draws classes from noise and translates no pictures; see "
            "lgan-sample."
        )
    files = list_pictures(Path(config.input))
    pictures = plan(network, files, Path(config.output), config.fit, config.format)
    check_output(pictures, config.overwrite)
    test_mode = config.test_mode or method.test_mode
    translate(network, pictures, config.batch_size, config.seed, device, test_mode)
    print(f"{len(pictures)} pictures through {network.name}: {config.output}", flush=True)


def main() -> None:
    """Run the console script `lgan-translate`."""
    run_script(_run, "translate")


if __name__ == "__main__":
    main()
