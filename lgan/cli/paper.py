"""`lgan-paper`: run what a paper's table needs, as one sweep, then print ours beside the paper's.

Each cell of the table (a run on one method and one seed) is a job of Hydra's basic sweeper, on any
launcher; conf/paper.yaml asks for `cell=NAME,NAME,...`. The table is made when the sweep is over.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import MinLen
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from lgan.arguments import Text
from lgan.cli.common import Texts, config_path, run_script, settings
from lgan.errors import ConfigError, DataError, LganError
from lgan.launch.compose import compose_run
from lgan.launch.job import run_job
from lgan.launch.sweep import current, noted, run_app
from lgan.launch.sweep_table import Job
from lgan.results.paper import Plan, quote
from lgan.results.paper_file import PaperTable


@dataclass(frozen=True)
class PaperSettings:
    """What conf/paper.yaml asks for."""

    table: Text
    budget: Text
    data_root: Text | None
    methods: Texts | None
    seeds: Annotated[list[int], MinLen(1)]
    runs: Text
    overrides: list[str]
    dry_run: bool


def plan_of(config: DictConfig) -> Plan:
    """Return the plan that conf/paper.yaml asks for.

    Raises:
        ConfigError: a value does not fit.
    """
    asked = settings(PaperSettings, config)
    table = PaperTable.load(Path(asked.table))
    return Plan(
        table=table,
        stem=Path(asked.table).stem,
        budget=asked.budget,
        methods=table.choose(asked.methods, asked.budget),
        seeds=asked.seeds,
        folder=Path(asked.runs),
        data_root=None if asked.data_root is None else Path(asked.data_root).expanduser(),
        more=asked.overrides,
    )


def sweep_mode(*, _root_: DictConfig) -> str:
    """Return Hydra's mode: a sweep, unless there is nothing to train, or a mistake to be told."""
    try:
        return "RUN" if _root_.dry_run is True or not plan_of(_root_).cells else "MULTIRUN"
    except LganError:
        return "RUN"


def sweep_cells(*, _root_: DictConfig) -> str:
    """Return the names of all cells, as Hydra reads the values of a sweep."""
    return ",".join(quote(cell) for cell in plan_of(_root_).cells)


def compose_cell(config: DictConfig) -> DictConfig:
    """Return the config of the run that a job makes.

    Raises:
        DataError: another job of the sweep has found that its data are absent.
    """
    plan = plan_of(config)
    cells = list(plan.cells)
    if config.cell not in cells:
        raise ConfigError(f"cell={config.cell} is none of {', '.join(cells)}.")
    run, method, seed = plan.cells[config.cell]
    say(f"[{cells.index(config.cell) + 1}/{len(cells)}] {run}, {method}, seed {seed}")
    for job in absent_data():
        if plan.cells[cell_of(job)][0] == run:
            raise DataError(job.error)
    return compose_run(plan.overrides(config.cell))


def absent_data() -> list[Job]:
    """Return the jobs of this sweep that have found no data."""
    notes = current()
    return [job for job in notes.jobs() if job.status == "no data"] if notes else []


def cell_of(job: Job) -> str:
    """Return the cell that a job was given."""
    said = OverridesParser.create().parse_overrides(job.overrides)
    return str(next(each.value() for each in said if each.key_or_group == "cell"))


def train_cell(config: DictConfig) -> None:
    """Train what `compose_cell` returned; stdout is the table's."""
    with redirect_stdout(sys.stderr):
        run_job(config)


def commands(plan: Plan) -> list[str]:
    """Return the command of every run, after its config was composed without an error."""
    asked = [plan.overrides(cell) for cell in plan.cells]
    for overrides in asked:
        compose_run(overrides)
    return [shlex.join(["lgan-train", *overrides]) for overrides in asked]


def join(config: DictConfig, jobs: Sequence[Job]) -> None:
    """Print the table of what the jobs left."""
    print(publish(plan_of(config), jobs), end="")


def publish(plan: Plan, jobs: Sequence[Job]) -> str:
    """Write a table and its figures; return the table."""
    # Imported here: Matplotlib takes long, and a job needs none of it.
    from lgan.results.paper_render import publish

    return publish(plan, plan.outcomes((cell_of(job), *_end(job)) for job in jobs), say)


def _end(job: Job) -> tuple[Path | None, str]:
    if job.status in ("complete", "skipped"):
        return Path(job.folder), ""
    return None, f"{job.status}: {job.error}" if job.error else job.status


def say(line: str) -> None:
    """Progress goes to stderr: stdout is the table's."""
    print(line, file=sys.stderr, flush=True)


def _run(config: DictConfig) -> None:
    if config.cell is None:  # nothing is to be trained
        plan = plan_of(config)
        text = "".join(f"{line}\n" for line in commands(plan))
        print(text if config.dry_run else publish(plan, []), end="")
    else:
        noted(train_cell, compose_cell, absent_is_fine=True)(config)


def register() -> None:
    """Make the config "paper" known to Hydra, and its resolvers to OmegaConf."""
    OmegaConf.register_new_resolver("lgan.stem", lambda path: Path(str(path)).stem, replace=True)
    OmegaConf.register_new_resolver("lgan.paper_mode", sweep_mode, replace=True)
    OmegaConf.register_new_resolver("lgan.paper_cells", sweep_cells, replace=True)
    # Not read from the folder: there `budget` is a group of lgan-train's, and Hydra would take
    # our `budget=cpu` for a choice in it.
    own = OmegaConf.load(Path(config_path()) / "paper.yaml")
    ConfigStore.instance().store(name="paper", node=own, provider="lgan")


def main() -> None:
    """Run the console script `lgan-paper`."""
    register()
    run_app(lambda: run_script(_run, "paper", path=None), then=join, file=sys.stderr)


if __name__ == "__main__":
    main()
