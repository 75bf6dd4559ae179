"""`lgan-paper`: run what a paper's table needs, as a sweep, then print ours beside the paper's."""

import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from lgan.cli.common import config_path, friendly_errors, run_script
from lgan.errors import DataError, HeldError, RunError
from lgan.launch import paper_cells as cells
from lgan.launch.compose import compose_run
from lgan.launch.sweep import noted, run_app
from lgan.launch.sweep_table import Job
from lgan.reports.paper import Plan
from lgan.reports.paper_render import publish
from lgan.run.record import RunRecord

FINE = {DataError: "no data", HeldError: "elsewhere"}  # what is no failure of a table's job


def commands(plan: Plan) -> list[str]:
    """Return the command of every run, once its config composes, and where these depart."""
    asked = [plan.overrides(cell) for cell in plan.cells]
    for overrides in asked:
        compose_run(overrides)
    lines = [shlex.join(["lgan-train", *overrides]) for overrides in asked]
    return lines + [f"# {line}" for line in cells.departures_of(plan)]


def join(plan: Plan, jobs: Sequence[Job]) -> str:
    """Return the table of what the jobs left; it is written too, with its figures."""
    ended = [(cells.cell_of(job), job.folder, _missing(job)) for job in jobs]
    return publish(plan, plan.outcomes(ended), cells.departures_of(plan), cells.say)


def _missing(job: Job) -> str | None:
    """Return why a job has no complete run, or None; what it said on stderr may name paths."""
    if job.status in ("complete", "skipped"):
        return None
    if job.status == "no data":
        return "data cannot be had here"
    if job.status == "elsewhere":
        with suppress(RunError):  # it has written nothing yet
            if RunRecord.load(Path(job.folder)).complete:
                return None
        return "another process is training it"
    return ": ".join(filter(None, (job.status, job.error)))


def _run(config: DictConfig) -> None:
    if config.cell is None:  # nothing is to be trained
        plan = cells.plan_of(config)
        text = "".join(f"{line}\n" for line in commands(plan))
        print(text if config.dry_run else join(plan, []), end="")
    else:
        noted(cells.train_cell, config, cells.compose_cell, FINE)


def register() -> None:
    """Make the config "paper" known to Hydra, and its resolvers to OmegaConf."""
    OmegaConf.register_new_resolver("lgan.stem", lambda path: Path(str(path)).stem, replace=True)
    OmegaConf.register_new_resolver("lgan.paper_mode", cells.sweep_mode, replace=True)
    OmegaConf.register_new_resolver("lgan.paper_cells", cells.sweep_cells, replace=True)
    # Not read from the folder: there `budget` is a group of lgan-train's, and Hydra would take
    # our `budget=cpu` for a choice in it.
    own = OmegaConf.load(Path(config_path()) / "paper.yaml")
    ConfigStore.instance().store(name="paper", node=own, provider="lgan")


def main() -> None:
    """Run the console script `lgan-paper`."""
    register()
    run_app(
        lambda: run_script(_run, "paper", path=None),
        then=friendly_errors(lambda config, jobs: print(join(cells.plan_of(config), jobs), end="")),
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
