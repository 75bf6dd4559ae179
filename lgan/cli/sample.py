"""`lgan-sample`: images from a finished run, without repeating its config."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from lgan.cli.common import run_script
from lgan.errors import ConfigError
from lgan.inference.sample import draw, load_run, sample_classes, save_images


def _run(config: DictConfig) -> None:
    if config.run is None:
        raise ConfigError("run=... is missing; give a run's folder.")
    if config.n < 1:
        raise ConfigError(f"n={config.n} must be at least 1.")
    method, border = load_run(config.run, config.after, config.trust)
    classes = sample_classes(border, config.task)
    output = Path(config.output or Path(config.run) / "generated")
    names = [border["class_names"][c] for c in classes]
    save_images(draw(method, classes, config.n, config.seed), names, output)
    print(f"{len(classes) * config.n} images of {', '.join(names)}: {output}", flush=True)


def main() -> None:
    """Run the console script `lgan-sample`."""
    run_script(_run, "sample")


if __name__ == "__main__":
    main()
