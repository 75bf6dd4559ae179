"""A paper's table as a sweep over `cell` (conf/paper.yaml): run, method and seed of each job."""

import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Annotated

from annotated_types import MinLen
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from lgan.arguments import Text, Texts, settings_of
from lgan.errors import ConfigError, DataError, LganError, check_known
from lgan.launch.compose import compose_run
from lgan.launch.job import run_job
from lgan.launch.sweep import current
from lgan.launch.sweep_table import Job
from lgan.reports.departures import departures
from lgan.reports.paper import Plan, quote
from lgan.reports.paper_file import PaperTable


def plan_of(config: DictConfig) -> Plan:
    """Return the plan that conf/paper.yaml asks for."""
    return make_plan(**settings_of(make_plan, config))


def make_plan(
    table: Text,
    budget: Text,
    data_root: Text | None,
    only: Texts | None,
    methods: Texts | None,
    seeds: Annotated[list[int], MinLen(1)],
    runs: Text,
    overrides: list[str],
    dry_run: bool,
) -> Plan:
    """Return a plan; the arguments are the keys of conf/paper.yaml."""
    content = PaperTable.load(Path(table)).restricted(only)
    root = None if data_root is None else Path(data_root).expanduser()
    chosen, stem = content.choose(methods, budget), Path(table).stem
    return Plan(content, stem, budget, chosen, seeds, Path(runs), root, overrides)


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
    """Return the config of a job's run, unless another job has found its data absent."""
    plan = plan_of(config)
    cells = list(plan.cells)
    check_known("cell", config.cell, cells)
    run, method, seed = plan.cells[config.cell]
    say(f"[{cells.index(config.cell) + 1}/{len(cells)}] {run}, {method}, seed {seed}")
    notes = current()
    for job in notes.jobs() if notes else ():
        if job.status == "no data" and plan.cells[cell_of(job)][0] == run:
            raise DataError(job.error)
    return compose_run(plan.overrides(config.cell))


def departures_of(plan: Plan) -> list[str]:
    """Return where the plan's runs depart from the paper and its code, a line each."""
    configs: dict[tuple[str, str], DictConfig] = {}
    for cell, (run, method, _) in plan.cells.items() if plan.table.has else ():
        # A cell whose config cannot be composed has failed, and says so in its row.
        if (run, method) not in configs:
            with suppress(ConfigError):
                configs[run, method] = compose_run(plan.overrides(cell))
    return departures(plan.table.has, configs)


def cell_of(job: Job) -> str:
    """Return the cell that a job was given."""
    said = OverridesParser.create().parse_overrides(job.overrides)
    return str(next(each.value() for each in said if each.key_or_group == "cell"))


def train_cell(config: DictConfig) -> None:
    """Train what `compose_cell` returned; stdout is the table's."""
    with redirect_stdout(sys.stderr):
        run_job(config)


def say(line: str) -> None:
    """Progress goes to stderr: stdout is the table's."""
    print(line, file=sys.stderr, flush=True)
