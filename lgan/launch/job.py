"""What a job of `lgan-train` or `lgan-paper` does: train in as many processes as it is asked."""

import math
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from lgan.errors import ConfigError
from lgan.launch.sweep import current
from lgan.run import signals
from lgan.run.record import FILE_NAME, RunRecord, number, value_at


def run_job(config: DictConfig) -> float | None:
    """Train a composed config, or find it complete; return what `objective_metric` names."""
    # Imported here: Lightning takes seconds, and `--help` needs none of it.
    from lgan.launch.processes import launch, needs_launch, process_group
    from lgan.training.fit import check_kinds, check_settings
    from lgan.training.train import train

    check_kinds(config)
    check_settings(config)
    notes = current()
    if notes and OmegaConf.select(config, "logger.group", default="") is None:
        config.logger.group = notes.name
    with signals.passed_on():
        if needs_launch(config):
            launch(config, brief=notes is not None)
            folder = Path(config.run_dir)
        else:
            with process_group(config):
                folder = train(config, brief=notes is not None)
    print(f"finished: {folder}", flush=True)
    return objective_value(config, folder)


def objective_value(config: DictConfig, folder: Path) -> float | None:
    """Return what a sweeper optimises: a run's last row at the path `objective_metric`, if any."""
    if (path := OmegaConf.select(config, "objective_metric")) is None:
        return None
    row = RunRecord.load(folder).rows[-1]
    result = value_at(row, str(path))
    if math.isnan(result):
        known = [key for key, value in row.get("overall", {}).items() if number(value) == value]
        raise ConfigError(
            f"objective_metric={path} is no number in the last row of {folder / FILE_NAME}; "
            f"there are: {', '.join(f'overall.{key}' for key in sorted(known)) or 'none'}."
        )
    return result
