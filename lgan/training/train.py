"""`lgan-train`: train one method on one task sequence."""

import glob
import logging
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import torch
from lightning import Callback
from omegaconf import DictConfig

from lgan.arguments import plain
from lgan.callbacks.base import TaskCallback
from lgan.data.content import changes
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.images import file_digests
from lgan.distributed import decided, is_main
from lgan.errors import RunError, TrainingDivergedError, warn
from lgan.methods.base import LifelongGAN
from lgan.redaction import redacted
from lgan.run import checkpoints, loggers, signals
from lgan.run.adoption import Parent
from lgan.run.folder import RunFolder
from lgan.run.identity import identity, register_resolvers
from lgan.run.lock import run_lock
from lgan.run.record import FILE_NAME, RunRecord
from lgan.run.rewinds import Rewinds
from lgan.run.wandb_logger import with_reachable_server
from lgan.training import build, fit, graph
from lgan.training.runner import SequenceRunner
from lgan.training.summary import show, summarise

Learner = tuple[LifelongGAN, list[Callback]]


def train(config: DictConfig, brief: bool = False) -> Path:
    """Run what a composed config asks for, unless it is complete; return the run's folder.

    A summary is printed before; of one of many runs, `brief`, a line.

    Raises:
        LganError: a sentence says what does not fit, is absent or went wrong.
        StopBySignal: SIGTERM, SIGINT, SIGUSR1 or SIGUSR2 came; what was trained is kept.
    """
    register_resolvers()
    quieten()
    fit.check_kinds(config)
    fit.check_settings(config)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    config = config.copy()
    # Worked out once: a name may tell of thousands of pictures.
    config.run_name, config.run_dir = config.run_name, config.run_dir
    folder = RunFolder(config.run_dir)
    with signals.watch():
        try:
            if decided(lambda: is_complete(folder, config)):
                print(f"complete already, nothing to do: {folder.path}", flush=True)
                return folder.path
            datamodule = build.build_datamodule(config)
            rows = build.first_classes(config, datamodule)
            fit.check_config(config, datamodule.image_shape, rows)
            learner = build_learner(config, datamodule)
            fit.check_growth(learner[0], datamodule)
            make_trainer = build.build_trainer_factory(config)
            # What it refuses is refused before anything is written.
            graph.check_recorded(make_trainer(), learner[0])
            with run_lock(folder.path):
                content = decided(lambda: content_record(config, datamodule))
                record = decided(lambda: open_run(folder, config, datamodule, content, *learner))
                if is_main():
                    told = record.summary.get("expected_seconds")
                    record.summary = summarise(config, datamodule, learner[0], content)
                    record.summary |= {"expected_seconds": told} if told else {}
                    show(record.summary, folder, brief)
                parts = (*learner, datamodule, make_trainer, folder, record)
                run(config, SequenceRunner(*parts, keep=config.keep))
        except signals.StopBySignal as stop:
            if is_main():
                warn(f"{stop.sentence}.")
            raise
    return folder.path


def build_learner(config: DictConfig, datamodule: TaskSequenceDataModule) -> Learner:
    """Build the method and the callbacks, and check that they go together."""
    rows = build.first_classes(config, datamodule)
    method = build.build_method(config, datamodule.image_shape, rows)
    fit.check_old_pictures(method, datamodule)
    callbacks = build.build_entries(config, "callbacks")
    for callback in callbacks:
        if isinstance(callback, TaskCallback):
            callback.check(method, datamodule)
    return method, callbacks


def run(config: DictConfig, runner: SequenceRunner) -> None:
    """Train to the end, with all loggers open, and say in the record how it ended."""
    status = "failed"
    runner.loggers = build.build_entries(with_reachable_server(config), "logger")
    try:
        for logger in runner.loggers:
            logger.log_hyperparams(redacted(plain(config)))
        train_to_the_end(config, runner)
        status = "success"
    except Exception as error:
        note_end(runner, "failed", str(error))
        raise
    except signals.StopBySignal as stop:
        note_end(runner, "stopped", stop.sentence)
        raise
    finally:
        loggers.close(runner.loggers, status)


def train_to_the_end(config: DictConfig, runner: SequenceRunner) -> None:
    """Train all tasks; with `on_nan=rewind` again from the last checkpoint if a loss runs away."""
    rewinds = Rewinds(runner.record.rewinds)
    while True:
        method = runner.method
        method.rewinds, runner.datamodule.again = rewinds, rewinds.again
        try:
            return runner.run()
        except TrainingDivergedError as error:
            if config.on_nan != "rewind" or rewinds.count(method.task_index) >= config.nan_retries:
                raise
            runner.go_back(error, config.nan_rate_factor)
        # Nothing of what was poisoned is used again.
        runner.method, runner.callbacks = build_learner(config, runner.datamodule)


def note_end(runner: SequenceRunner, status: Literal["failed", "stopped"], reason: str) -> None:
    """Write into the record how a run ended; on a full disk the first error is what counts."""
    runner.record.status, runner.record.error = status, reason
    with suppress(RunError):
        runner.save_record()


def is_complete(folder: RunFolder, config: DictConfig) -> bool:
    """Return whether the folder holds this very run, complete."""
    if not (folder.path / FILE_NAME).exists() or not RunRecord.load(folder.path).complete:
        return False
    folder.open(config, resume=True)
    check_complete(folder, config)
    with suppress(OSError):  # it may be an archive that nobody writes to
        checkpoints.clear(folder)
        checkpoints.remove_leftovers(folder)
    return True


def open_run(
    folder: RunFolder,
    config: DictConfig,
    datamodule: TaskSequenceDataModule,
    content: dict[str, Any],
    method: LifelongGAN,
    callbacks: Sequence[Callback],
) -> RunRecord:
    """Make the run's folder, or check that the run in it may go on; return its record, running."""
    if not folder.config.exists():
        check_siblings(folder, config, content)
    extends, known = config.get("extends"), (folder.path / FILE_NAME).exists()
    parent = Parent(extends.run) if extends and not known else None
    if parent:
        parent.check(extends, content)
    folder.open(config, config.resume)
    if known:
        record = RunRecord.load(folder.path)
        check_same(folder, record, config, content)
        record.status, record.error = "running", None
    else:
        names = datamodule.class_names
        # All rules of the protocol that the run breaks, the method's first.
        broken = [getattr(part, "declaration", "") for part in (method, *callbacks)]
        record = RunRecord(
            data=config.data.name, method=config.method.name, preset=config.preset.name,
            seed=config.seed, num_tasks=datamodule.num_tasks,
            identity=identity(config), content=content,
            declaration="; ".join(dict.fromkeys(filter(None, broken))),
            tasks=[
                {"index": task.index, "classes": list(task.classes),
                 "class_names": [names[c] for c in task.classes]}
                for task in datamodule.tasks
            ],
        )  # fmt: skip
    if parent:  # before the record is there: a process that is killed meanwhile begins again
        parent.adopt(folder, record, datamodule.plan, extends["copy"])
    record.save(folder.path)
    return record


def quieten() -> None:
    """Keep Lightning's advice on hardware and loaders, which lgan decides, off the screen."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for pattern in (
        ".*does not have many workers.*",
        ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",
        ".*number of training batches .* is smaller than the logging interval.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*module\\(s\\) in eval mode at the start of training.*",
        ".*Grad strides do not match bucket view strides.*",
        ".*`broadcast_buffers` is deprecated.*",  # what takes its place still evens buffers out
    ):
        warnings.filterwarnings("ignore", pattern)


def content_record(config: DictConfig, datamodule: TaskSequenceDataModule) -> dict[str, Any]:
    """Return what a run is made from beside its config, for its record."""
    content = datamodule.content(Path(config.paths.cache).expanduser())
    given = config.method.get("init_from") or []
    paths = [given] if isinstance(given, str) else given
    digests = file_digests([Path(path).expanduser() for path in paths])
    return content | {"init_from": [digest.hex() for digest in digests.values()]}


def check_complete(folder: RunFolder, config: DictConfig) -> None:
    """Refuse to call a run complete that was trained on other data, or whose files were changed."""
    record = RunRecord.load(folder.path)
    content = record.content
    # The user's own pictures may have changed; those that lgan fetched are checked when it does.
    if content.get("root") is not None or content.get("init_from"):
        content = content_record(config, build.build_datamodule(config))
    check_same(folder, record, config, content)


def check_same(
    folder: RunFolder, record: RunRecord, config: DictConfig, content: dict[str, Any]
) -> None:
    """Refuse a run whose record is another run's, or whose data are no longer what they were."""
    record.check_config(config, folder.config)
    if not record.content:
        warn(
            f"{folder.path} was begun by an lgan that did not record what its data are: whether "
            "they are still the same cannot be told."
        )
    _check_content(folder.path, record.content, content)


def check_siblings(folder: RunFolder, config: DictConfig, content: dict[str, Any]) -> None:
    """Refuse to begin a run anew because the pictures in its own folder changed meanwhile.

    A run's name tells of its pictures, so its former self lies beside it under another name.
    """
    name, asked = folder.path.name, identity(config)
    if content["root"] is None or name != config.get("run_name"):
        return
    for path in sorted(folder.path.parent.glob(f"{glob.escape(name[:-8])}*/{FILE_NAME}")):
        record = None
        with suppress(RunError):  # another run's, which is of no concern here
            record = RunRecord.load(path.parent)
        if record and record.identity == asked and record.content.get("root") == content["root"]:
            _check_content(path.parent, record.content, content)


def _check_content(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    if found := changes(old, new):
        raise RunError(
            f"{folder} was trained on other data than there are now: {'; '.join(found)}. Restore "
            "them, or give run_dir=... another folder for a run on what there is now."
        )
