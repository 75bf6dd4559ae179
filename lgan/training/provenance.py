"""A run goes on only with what it was begun with: its config, its pictures, its first network."""

import glob
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from lgan.data.content import changes
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.images import file_digests
from lgan.errors import RunError, warn
from lgan.run.folder import RunFolder
from lgan.run.identity import identity
from lgan.run.record import FILE_NAME, RunRecord
from lgan.training import build


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
