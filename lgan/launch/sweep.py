"""What becomes of a sweep's jobs, whichever launcher runs them: one table when the sweep ends.

Each job leaves a note in a hidden folder of the sweep, from whichever process it runs in; the
process that started the sweep reads them at the end. A job that began and left no second note died.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import CompactHydraException
from hydra.experimental.callback import Callback
from hydra.types import TaskFunction
from omegaconf import DictConfig, OmegaConf

from lgan.errors import ConfigError, RunError, own_error
from lgan.files import write_json
from lgan.launch.launchers import is_slurm, orphans_jobs, stop_children, wait_for_children
from lgan.run.record import FILE_NAME, RunRecord, number
from lgan.run.signals import watch

STATUSES = ("complete", "skipped", "failed", "died", "stopped", "never started")
"""Outcomes of a job: skipped ones were complete before, died ones were killed without a word."""
GOOD = ("complete", "skipped")
DIED = "its process ended without a word (killed, or out of memory); the same command goes on"
SILENT = "no answer: killed, or still in the queue (squeue says which)"


class JobFailedError(CompactHydraException):
    """A job of a multirun failed; Hydra prints a compact exception as its text alone."""


class SweepFailedError(CompactHydraException):
    """Some jobs of a sweep are not done; Hydra prints a compact exception as its text alone."""


@dataclass
class Outcome:
    """What became of one job; status is one of `STATUSES`, or "running" while it runs."""

    job: int
    overrides: list[str]
    status: str = "never started"
    folder: str = ""
    error: str = ""


class SweepReport(Callback):
    """Hydra callback: note each job's outcome, print them all when the sweep ends.

    A job that fails does not stop a sweep of the basic sweeper, whatever the launcher and
    `hydra.sweeper.max_batch_size`; a sweeper that learns from its jobs is told of the failure.
    The exit code is 1 if a job is not done. Nothing happens in a single run.
    """

    def __init__(self) -> None:
        self.notes: Path | None = None
        self.goes_on = True
        self.done_before = False

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:  # noqa: ANN401
        """Choose where the notes go; the callback is then sent to the jobs with it."""
        self.notes = Path(config.hydra.sweep.dir).absolute() / ".sweep" / uuid.uuid4().hex[:12]
        self.goes_on = config.hydra.sweeper["_target_"].endswith(".BasicSweeper")
        guard_next_sweep(self)

    def on_job_start(
        self,
        config: DictConfig,
        *,
        task_function: TaskFunction,
        **_: Any,  # noqa: ANN401
    ) -> None:
        """Note that the job runs."""
        if self.notes is not None:
            self.done_before = is_done(Path(config.run_dir))
            self.note(config, "running")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:  # noqa: ANN401
        """Note how the job ended; take its error from Hydra where the sweep can go on."""
        if self.notes is None:
            return
        if job_return.status != JobStatus.FAILED:
            self.note(config, "skipped" if self.done_before else "complete")
            return
        error = job_return._return_value
        if not isinstance(error, JobFailedError):
            traceback.print_exception(error)
        self.note(config, "failed", first_sentence(error))
        if self.goes_on:
            job_return.status, job_return.return_value = JobStatus.COMPLETED, None
        else:  # an exception of a library need not survive the way to another process
            job_return.return_value = JobFailedError(first_sentence(error))

    def note(self, config: DictConfig, status: str, error: str = "") -> None:
        """Write the note of a job."""
        job = config.hydra.job.num
        overrides = [str(each) for each in config.hydra.overrides.task]
        outcome = Outcome(job, overrides, status, str(config.run_dir), error)
        write_json(self._folder() / f"{job}.json", asdict(outcome))

    def outcomes(self, planned: Sequence[Sequence[str]] = ()) -> list[Outcome]:
        """Return the outcomes noted so far, in order of job, and those planned but not begun."""
        found = {job: Outcome(job, list(overrides)) for job, overrides in enumerate(planned)}
        for path in self._folder().glob("*.json"):
            outcome = Outcome(**json.loads(path.read_text()))
            found[outcome.job] = outcome
        return [found[job] for job in sorted(found)]

    def forget(self) -> None:
        """Remove the notes, and the folder they were in if no other sweep has notes there."""
        folder = self._folder()
        shutil.rmtree(folder, ignore_errors=True)
        if folder.parent.is_dir() and not any(folder.parent.iterdir()):
            folder.parent.rmdir()

    def _folder(self) -> Path:
        assert self.notes is not None
        return self.notes


def is_done(folder: Path) -> bool:
    """Return whether a run folder holds a complete run, whatever its config."""
    try:
        return RunRecord.load(folder).complete
    except RunError:
        return False


def guard_next_sweep(report: SweepReport) -> None:
    """Make the next sweeper that Hydra builds in this process end in `report`'s table.

    Hydra calls `on_multirun_end` only after a sweep in which nothing was raised; the table is
    needed most after the others. The change is undone as soon as the sweeper is built.
    """
    plugins = Plugins.instance()
    build = plugins.instantiate_sweeper

    def build_guarded(**arguments: Any) -> Any:  # noqa: ANN401
        del plugins.__dict__["instantiate_sweeper"]  # the class's own method shows again
        sweeper: Any = build(**arguments)
        sweep = sweeper.sweep
        launcher = str(arguments["config"].hydra.launcher["_target_"])

        def guarded(arguments: list[str]) -> Any:  # noqa: ANN401
            with reporting(report, launcher, lambda: planned_jobs(sweeper)), watch():
                return sweep(arguments=arguments)

        sweeper.sweep = guarded
        return sweeper

    plugins.__dict__["instantiate_sweeper"] = build_guarded


def planned_jobs(sweeper: Any) -> list[Sequence[str]]:  # noqa: ANN401  (any sweeper)
    """Return the overrides of all jobs, where the sweeper knows them beforehand."""
    return [job for batch in getattr(sweeper, "overrides", None) or [] for job in batch]


@contextmanager
def reporting(
    report: SweepReport, launcher: str, planned: Callable[[], list[Sequence[str]]]
) -> Iterator[None]:
    """Print the table when the block ends, however it ends.

    Args:
        report: holds the notes.
        launcher: the `_target_` of the launcher.
        planned: returns the overrides of all jobs as far as they are known.

    Raises:
        SweepFailedError: a job is not done, or the launcher gave up.
    """
    try:
        yield
    except Exception as error:
        if orphans_jobs(launcher):
            wait_for_children()
        outcomes = end(report, planned(), "died", SILENT if is_slurm(launcher) else DIED)
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        if isinstance(error, CompactHydraException) and not isinstance(error, JobFailedError):
            raise  # a mistake in the command line, found before the first job
        raise SweepFailedError(verdict(outcomes) or f"error: {first_sentence(error)}") from error
    except BaseException:
        if orphans_jobs(launcher):
            stop_children()
        end(report, planned(), "stopped", "the same command goes on")
        raise
    failure = verdict(end(report, planned(), "died", DIED))
    if failure:
        raise SweepFailedError(failure)


def end(
    report: SweepReport, planned: list[Sequence[str]], unfinished: str, why: str
) -> list[Outcome]:
    """Print the table, remove the notes and return the outcomes; [] if no job began.

    Args:
        report: holds the notes.
        planned: overrides of all jobs, as far as they are known.
        unfinished: status of jobs that began and noted no end.
        why: their error.
    """
    outcomes = report.outcomes(planned)
    for outcome in outcomes:
        if outcome.status == "running":
            outcome.status, outcome.error = unfinished, why
    report.forget()
    if all(outcome.status == "never started" for outcome in outcomes):
        return []
    sys.stderr.flush()
    print(f"\n{table(outcomes)}\n{summary(outcomes)}", flush=True)
    return outcomes


def verdict(outcomes: Sequence[Outcome]) -> str:
    """Return a sentence if a job is not done, else ""."""
    bad = [outcome for outcome in outcomes if outcome.status not in GOOD]
    if not bad:
        return ""
    return f"error: {len(bad)} of {len(outcomes)} jobs of the sweep are not done, see the table."


def first_sentence(error: BaseException) -> str:
    """Return the first sentence of an error, its type before it unless it is lgan's own."""
    own = own_error(error)
    text = " ".join(str(own or error).split()).removeprefix("error: ")
    sentence, stop, _ = text.partition(". ")
    if own is None and not isinstance(error, CompactHydraException):
        return f"{type(error).__name__}: {sentence}{stop.strip()}"
    return f"{sentence}{stop.strip()}"


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a line per job: what it was given beyond what all were given, and what came of it."""
    shared = set.intersection(*(set(o.overrides) for o in outcomes)) if len(outcomes) > 1 else set()
    rows = [("job", "status", "overrides", "folder", "error")]
    for o in outcomes:
        own = " ".join(each for each in o.overrides if each not in shared)
        rows.append((str(o.job), o.status, own, o.folder, o.error))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        .rstrip() for row in rows
    )  # fmt: skip


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return how many jobs ended how, as "4 jobs: 3 complete, 1 failed"."""
    counts = Counter(outcome.status for outcome in outcomes)
    parts = [f"{counts[status]} {status}" for status in STATUSES if counts[status]]
    return f"{len(outcomes)} job{'s' * (len(outcomes) != 1)}: {', '.join(parts)}"


def objective_value(config: DictConfig, folder: Path) -> float | None:
    """Return the number that a sweeper optimises: `objective_metric` in a run's last row.

    Args:
        config: as composed from conf/train.yaml; `objective_metric` is a path within a row of
            results.json such as `overall.accuracy_generated`, or null.
        folder: of the run.

    Returns:
        The number, or None if `objective_metric` is null.

    Raises:
        ConfigError: the last row holds no such number.
    """
    path = OmegaConf.select(config, "objective_metric")
    if path is None:
        return None
    row = RunRecord.load(folder).rows[-1]
    value: Any = row
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    result = number(value)
    if result != result:
        known = [key for key, value in row.get("overall", {}).items() if number(value) == value]
        raise ConfigError(
            f"objective_metric={path} is no number in the last row of {folder / FILE_NAME}; "
            f"there are: {', '.join(f'overall.{key}' for key in sorted(known)) or 'none'}."
        )
    return result
