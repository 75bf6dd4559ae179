"""A sweep's jobs note how they end, and the table at its end says it, whichever launcher runs them.

`SweepNotes` (a Hydra callback of conf/train.yaml and conf/paper.yaml) chooses a hidden folder of
the sweep and travels to each job. `noted` writes there what becomes of the job. `run_app`, around
the Hydra app of a console script, reads the notes and prints the table (`lgan.launch.sweep_table`).
"""

import json
import os
import shutil
import sys
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, TextIO

import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import CompactHydraException, HydraException
from hydra.experimental.callback import Callback
from hydra.types import TaskFunction
from hydra.utils import get_class
from omegaconf import DictConfig

from lgan.errors import LganError, RunError, own_error
from lgan.files import write_atomically, write_json
from lgan.launch import gpus as launchers
from lgan.launch.sweep_table import GOOD, Job, first_sentence, summary, table, verdict
from lgan.redaction import redacted
from lgan.run.record import RunRecord
from lgan.run.signals import watch

DIED = "its process ended without a word (killed, or out of memory); the same command goes on"
SILENT = "no answer: killed, or still in the queue (squeue says which)"
FULL_ERROR = "HYDRA_FULL_ERROR"


class JobFailedError(CompactHydraException):
    """A job of a multirun failed; Hydra prints a compact exception as its text alone."""


@dataclass(eq=False)
class SweepNotes(Callback):
    """Hydra callback: where the jobs of a sweep note how they end. A single run notes nothing."""

    config: DictConfig | None = None  # the sweep's; None in a single run
    folder: Path = Path()  # of the notes
    # Overrides of all jobs, where the sweeper knows them beforehand.
    planned: list[list[str]] = field(default_factory=list)
    goes_on: bool = False  # whether a failed job is hidden from the sweeper, which would give up
    made: list[Path] = field(default_factory=list)  # folders that were not there before
    full_errors: bool = False  # whether the user wants the traces of all errors
    name: str = ""  # of the sweep, with the time it began: the same for all jobs
    traces: ClassVar[bool] = False  # the same wish, before there is a sweep

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:  # noqa: ANN401
        """Choose where the notes go; the callback is then sent to the jobs with it."""
        self.config = config
        place = Path(config.hydra.sweep.dir).absolute()
        self.folder = place / ".sweep" / uuid.uuid4().hex[:12]
        self.made = [each for each in (place, *place.parents) if not each.exists()]
        self.goes_on = config.hydra.sweeper["_target_"].endswith(".BasicSweeper")
        self.full_errors = self.traces
        self.name = f"{name_of(config)} {datetime.now():%Y-%m-%d %H:%M:%S}"
        _current[:] = [self]
        launchers.keep_private(config)
        # Hydra would print the trace of a launcher that gave up; so it raises it, for `run_app`.
        os.environ[FULL_ERROR] = "1"
        if self.goes_on:
            with suppress(HydraException):  # the sweeper says what is wrong
                self.planned = planned_jobs(config)

    def on_job_start(self, config: DictConfig, *, task_function: TaskFunction, **_: Any) -> None:  # noqa: ANN401
        """Be what the job notes in: it may run in another process."""
        _current[:] = [self] if self.config is not None else []
        if self.config is not None:
            hide_secrets(Path(self.config.hydra.sweep.dir))

    def write(self, job: Job) -> None:
        """Write the note of a job."""
        write_json(self.folder / f"{job.number}.json", asdict(job))

    def jobs(self) -> list[Job]:
        """Return all jobs as noted so far, in their order, and those planned but not begun."""
        found = {number: Job(number, each) for number, each in enumerate(self.planned)}
        for path in self.folder.glob("*.json"):
            found[int(path.stem)] = Job(**json.loads(path.read_text()))
        return [found[number] for number in sorted(found)]

    def fail(self, job: Job, error: Exception, fine: Mapping[type[LganError], str]) -> None:
        """Say at once why a job failed, and note it; a sweeper that learns from it has to know."""
        own = own_error(error)
        status = next((said for kind, said in fine.items() if isinstance(own, kind)), "failed")
        if own is None or self.full_errors:
            traceback.print_exception(error)
        else:
            said = redacted(f"{'error' if status == 'failed' else status}: {own}")
            print(said, file=sys.stderr, flush=True)
        job.status, job.error = status, first_sentence(error)
        self.write(job)
        if not self.goes_on:  # an exception of a library need not survive the way back
            raise JobFailedError(job.error) from None

    def end(self, unfinished: str, why: str) -> list[Job]:
        """Remove the notes and return all jobs, open ones as `unfinished`; [] if none began."""
        jobs = self.jobs()
        for job in jobs:
            if job.status == "running":
                job.status, job.error = unfinished, why
        hide_secrets(self.folder.parents[1])
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):  # absent, or another sweep has notes there
            self.folder.parent.rmdir()
        if self.made and not any(job.status in GOOD for job in jobs):
            leave_nothing(self.made)
        return [] if all(job.status == "never started" for job in jobs) else jobs


def leave_nothing(made: Sequence[Path]) -> None:
    """Remove the folders that a sweep made for itself if they hold nothing but Hydra's note."""
    with suppress(OSError):
        if [path.name for path in made[0].iterdir()] == ["multirun.yaml"]:
            (made[0] / "multirun.yaml").unlink()
        for folder in made:
            folder.rmdir()


def hide_secrets(folder: Path) -> None:
    """Take the secrets out of what Hydra has written into a sweep's folder."""
    path = folder / "multirun.yaml"
    with suppress(OSError, LganError):
        content = yaml.safe_load(path.read_text())
        if (hidden := redacted(content)) != content:
            write_atomically(path, yaml.safe_dump(hidden, sort_keys=False))


_current: list[SweepNotes] = []  # of this process, at most one


def current() -> SweepNotes | None:
    """Return the notes of the sweep that this process belongs to, if there is one."""
    return _current[0] if _current else None


def name_of(config: DictConfig) -> str:
    """Return what a sweep is called: its experiment, or else the keys that it goes over."""
    choices = config.hydra.runtime.choices
    if experiment := choices.get("experiment"):
        return str(experiment)
    parser = OverridesParser.create()
    keys = [*(config.hydra.sweeper.get("params") or {})]
    with suppress(HydraException):  # the sweeper says what is wrong
        asked = parser.parse_overrides(list(config.hydra.overrides.task))
        keys += [each.key_or_group for each in asked if each.is_sweep_override()]
    return " x ".join(map(str, keys)) or str(config.hydra.job.name)


def planned_jobs(config: DictConfig) -> list[list[str]]:
    """Return the overrides of each job of Hydra's basic sweeper: all combinations, in its order."""
    params = config.hydra.sweeper.get("params") or {}
    asked = [*(f"{key}={value}" for key, value in params.items()), *config.hydra.overrides.task]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    sweeper: Any = get_class(config.hydra.sweeper["_target_"])
    return sweeper.split_arguments(parser.parse_overrides(asked), max_batch_size=None)[0]


def noted(
    function: Callable[[DictConfig], Any],
    config: DictConfig,
    compose: Callable[[DictConfig], DictConfig] = lambda config: config,
    fine: Mapping[type[LganError], str] = MappingProxyType({}),
) -> Any:  # noqa: ANN401
    """Return `function(compose(config))`, noted in a sweep; errors in `fine` are no failures there.

    `fine` says what becomes of a job with such an error, one of `lgan.launch.sweep_table.GOOD`.
    """
    notes = current()
    if notes is None:
        return function(compose(config))
    hydra = HydraConfig.get()
    job = Job(hydra.job.num, [str(each) for each in hydra.overrides.task], "running")
    done_before = False
    try:
        notes.write(job)
        run = compose(config)
        job.folder = str(run.run_dir)
        notes.write(job)
        with suppress(RunError):
            done_before = RunRecord.load(Path(run.run_dir)).complete
        value = function(run)
    except Exception as error:
        return notes.fail(job, error, fine)
    job.status = "skipped" if done_before else "complete"
    notes.write(job)
    return value


def run_app(
    app: Callable[[], Any],
    then: Callable[[DictConfig, list[Job]], None] = lambda config, jobs: None,
    file: TextIO | None = None,
) -> None:
    """Call a Hydra app; of a sweep print the table when it is over, however it ended.

    Hydra calls `on_multirun_end` only after a sweep in which nothing was raised; the table is
    needed most after the others. It goes to `file` (None: stdout). Unless a signal ended the sweep,
    `then` is called. The exit code is 1 if a job is not done or the launcher gave up.
    """
    error: BaseException | None = None
    try:
        with watch():
            app()
    except BaseException as raised:
        error = raised
    notes, said = current(), ""
    _current.clear()
    if notes is not None and notes.config is not None:
        if not notes.full_errors:
            os.environ.pop(FULL_ERROR, None)
        jobs = notes.end(*_unfinished(launchers.launcher_of(notes.config), error))
        if jobs:
            sys.stderr.flush()
            print(f"\n{redacted(table(jobs))}\n{summary(jobs)}", file=file, flush=True)
        if jobs and (error is None or isinstance(error, Exception)):
            then(notes.config, jobs)
        said = _last_words(error, jobs, notes)
    if said:
        print(said, file=sys.stderr, flush=True)
        raise SystemExit(1)
    if error is not None:
        raise error


def _last_words(error: BaseException | None, jobs: list[Job], notes: SweepNotes) -> str:
    """Return the last line of a sweep that is not done; "" where all is well, or said already."""
    if error is None:
        return verdict(jobs)
    if not isinstance(error, Exception) or notes.full_errors:
        return ""
    if isinstance(error, OSError) and not jobs:  # Hydra makes the sweep's folder
        return (
            f"error: could not write {error.filename}: {error.strerror}; paths.runs should name a "
            "folder that can be written to."
        )
    return verdict(jobs) or f"error: {first_sentence(error)}"


def _unfinished(launcher: str, error: BaseException | None) -> tuple[str, str]:
    """Return what became of the jobs that have noted no end, once nothing of them runs any more."""
    if error is None:
        return "died", DIED
    if not isinstance(error, Exception):
        if launcher == launchers.LOCAL:
            launchers.stop_children()
        return "stopped", "the same command goes on"
    if launcher == launchers.LOCAL:
        launchers.wait_for_children()
    return "died", SILENT if launcher == launchers.SLURM else DIED
