"""A paper's table made in this process: what stands in for training is called for each cell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from lgan.cli.paper import join
from lgan.launch.compose import compose_run
from lgan.launch.paper_cells import plan_of
from lgan.launch.sweep_table import Job


def build_table(config: DictConfig, train: Callable[[DictConfig], Path]) -> str:
    """Return the table that a sweep ends in whose jobs are all complete."""
    plan, jobs = plan_of(config), []
    for number, cell in enumerate(plan.cells):
        folder = train(compose_run(plan.overrides(cell)))
        jobs.append(Job(number, [f"cell={cell}"], "complete", str(folder)))
    return join(plan, jobs)
