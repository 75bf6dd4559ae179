"""`lgan-train`: train one method on one task sequence."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import hydra
from omegaconf import DictConfig, OmegaConf

from lgan.cli import friendly_errors
from lgan.config_path import config_path
from lgan.results.record import FILE_NAME, RunRecord
from lgan.run_folder import RunFolder, register_resolvers

if TYPE_CHECKING:
    from lightning import Callback

    from lgan.data.datamodule import TaskSequenceDataModule
    from lgan.methods.base import LifelongGAN


def train(config: DictConfig) -> Path:
    """Run what a composed config asks for; a run that is complete is not run again.

    Args:
        config: as composed from conf/train.yaml.

    Returns:
        The run's folder.

    Raises:
        ConfigError: a value does not fit.
        DataError: the data are absent or unreadable.
        RunError: the run's folder cannot be used.
        TrainingDivergedError: a loss or weight is no longer finite.
    """
    # Imported here: Lightning takes seconds, and `--help` needs none of it.
    import torch

    from lgan import build, loggers
    from lgan.callbacks.base import TaskCallback
    from lgan.sequence import SequenceRunner

    register_resolvers()
    quieten()
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    folder = RunFolder(config.run_dir)
    if is_complete(folder, config):
        print(f"complete already, nothing to do: {folder.path}", flush=True)
        return folder.path
    datamodule = build.build_datamodule(config)
    method = build.build_method(config, datamodule.image_shape, datamodule.num_classes)
    callbacks = build.build_callbacks(config)
    for callback in callbacks:
        if isinstance(callback, TaskCallback):
            callback.check(method, datamodule)
    folder.open(config, config.resume)
    record = open_record(folder, config, method, datamodule, callbacks)
    open_loggers = build.build_loggers(config)
    status = "failed"
    try:
        for logger in open_loggers:
            logger.log_hyperparams(plain(config))
        SequenceRunner(
            method=method,
            datamodule=datamodule,
            make_trainer=build.build_trainer_factory(config),
            folder=folder,
            record=record,
            callbacks=callbacks,
            loggers=open_loggers,
        ).run()
        status = "success"
    except Exception as error:
        record.status, record.error = "failed", str(error)
        record.save(folder.path)
        raise
    finally:
        loggers.close(open_loggers, status)
    return folder.path


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a config as plain data, all references resolved."""
    return cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))


def is_complete(folder: RunFolder, config: DictConfig) -> bool:
    """Return whether the folder holds this very run, complete.

    Raises:
        RunError: it holds a run with another configuration.
    """
    if not (folder.path / FILE_NAME).exists() or not RunRecord.load(folder.path).complete:
        return False
    folder.open(config, resume=True)
    return True


def declaration_of(method: LifelongGAN, callbacks: Sequence[Callback]) -> str:
    """Return all rules of the protocol that a run breaks, the method's first; "" for none."""
    parts = [method.declaration, *(getattr(c, "declaration", "") for c in callbacks)]
    return "; ".join(dict.fromkeys(part for part in parts if part))


def open_record(
    folder: RunFolder,
    config: DictConfig,
    method: LifelongGAN,
    datamodule: TaskSequenceDataModule,
    callbacks: Sequence[Callback] = (),
) -> RunRecord:
    """Return the record of the run in the folder, or a new one, marked as running."""
    if (folder.path / FILE_NAME).exists():
        record = RunRecord.load(folder.path)
        record.status, record.error = "running", None
    else:
        names = datamodule.class_names
        record = RunRecord(
            data=config.data.name,
            method=config.method.name,
            preset=config.preset.name,
            seed=config.seed,
            num_tasks=datamodule.num_tasks,
            declaration=declaration_of(method, callbacks),
            tasks=[
                {
                    "index": task.index,
                    "classes": list(task.classes),
                    "class_names": [names[c] for c in task.classes],
                }
                for task in datamodule.sequence.tasks
            ],
        )
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
    ):
        warnings.filterwarnings("ignore", pattern)


@friendly_errors
def _train_main(config: DictConfig) -> None:
    print(f"finished: {train(config)}", flush=True)


def main() -> None:
    """Run the console script `lgan-train`."""
    register_resolvers()
    hydra.main(version_base="1.3", config_path=config_path(), config_name="train")(_train_main)()


if __name__ == "__main__":
    main()
