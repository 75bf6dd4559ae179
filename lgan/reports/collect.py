"""Finding runs on disk and grouping those that differ in nothing but the seed."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lgan.arguments import plain
from lgan.errors import RunError
from lgan.run.folder import RunFolder
from lgan.run.identity import MEASURED, flatten, identity
from lgan.run.record import FILE_NAME, RunRecord, number

MAX_LABEL_KEYS = 4
PRESET_KEY = "preset.name"
CONTENT_KEY = "data.content"
"""Stands beside the settings: the first digits of the digest of the pictures themselves."""


@dataclass(frozen=True)
class Run:
    """A run folder: its record and its resolved config (empty where the file is absent)."""

    folder: Path
    record: RunRecord
    config: dict[str, Any]

    @property
    def settings(self) -> dict[str, str]:
        """Flat settings (`a.b.c` -> JSON text) that make a run comparable: no seed, no place."""
        whole = self.record.identity or identity(self.config)
        flat = {key: value for key, value in whole.items() if not _is_own_seed(key)}
        flat |= {PRESET_KEY: self.record.preset, CONTENT_KEY: self.content}
        return {key: json.dumps(value) for key, value in flat.items()}

    @property
    def key(self) -> tuple:
        """What it shares with its group: data, method and settings."""
        return self.record.data, self.record.method, tuple(sorted(self.settings.items()))

    @property
    def content(self) -> str:
        """The data the run was trained on: a digest; for older runs, where they lay."""
        known = self.record.content
        if not known:
            return f"not recorded, in {(self.config.get('data') or {}).get('root') or 'the cache'}"
        return ", ".join(digest[:8] for digest in (known["digest"], *known.get("init_from", ())))


@dataclass
class Group:
    """Runs equal in data, method, preset and settings, one for each seed."""

    label: str
    runs: list[Run]
    differing: dict[str, str] = field(default_factory=dict)

    @property
    def first(self) -> RunRecord:
        """The record of the lowest seed."""
        return self.runs[0].record

    @property
    def records(self) -> list[RunRecord]:
        """All records, by seed."""
        return [run.record for run in self.runs]


def judges(groups: Iterable[Group]) -> dict[str, float]:
    """Return the evaluation classifiers' accuracy on real test images by name; NaN if unknown."""
    told = [record.references for group in groups for record in group.records]
    return {
        str(each.get("classifier", "?")): number(each.get("classifier_test_accuracy"))
        for each in sorted(told, key=lambda each: str(each.get("classifier", "?")))
    }


@dataclass
class Collection:
    """What was found below some folders; every run left out has its sentence in `warnings`."""

    groups: list[Group]
    warnings: list[str]

    @property
    def data_names(self) -> list[str]:
        """Names of the data sets, in alphabetical order."""
        return sorted({group.first.data for group in self.groups})

    def of_data(self, name: str) -> list[Group]:
        """Groups of one data set."""
        return [group for group in self.groups if group.first.data == name]


def collect(folders: str | Path | Iterable[str | Path]) -> Collection:
    """Find all runs below one or several folders and group them over seeds."""
    paths = [Path(folders)] if isinstance(folders, str | Path) else [Path(f) for f in folders]
    runs, warnings = find_runs(paths)
    if not runs and not warnings:
        names = ", ".join(map(str, paths))
        raise RunError(f"no run found below {names}: no folder there holds a {FILE_NAME}.")
    for run in (run for run in runs if not run.record.complete):
        record, reason = run.record, f": {run.record.error}" if run.record.error else ""
        warnings.append(
            f"left out: {run.folder} ({record.method} on {record.data}, seed {record.seed}) has "
            f"{len(record.rows)} of {record.num_tasks} tasks, status {record.status}{reason}"
        )
    complete, doubles = _drop_doubles([run for run in runs if run.record.complete])
    warnings += doubles
    if older := [run.folder.name for run in complete if not run.record.content]:
        named = f"{', '.join(older[:3])}{', ...' if len(older) > 3 else ''}"
        warnings.append(
            f"whether the data were the same is not known of {len(older)} runs of an older lgan "
            f"({named})"
        )
    return Collection(group_runs(complete), warnings)


def find_runs(folders: Sequence[Path]) -> tuple[list[Run], list[str]]:
    """All runs below some folders, and a sentence for each that cannot be read."""
    runs, damaged = [], []
    for folder in folders:
        if not folder.is_dir():
            raise RunError(f"folder {folder} does not exist (runs={folder}).")
    for folder in sorted({p.parent.resolve() for f in folders for p in f.rglob(FILE_NAME)}):
        try:
            run = Run(folder, RunRecord.load(folder), read_config(folder))
            if run.config:
                run.record.check_config(run.config, folder / "config.yaml")
            runs.append(run)
        except RunError as error:
            damaged.append(f"left out: {error}")
    return runs, damaged


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved config of a run folder as plain data; empty if there is none."""
    run = RunFolder(folder)
    return plain(run.load_config()) if run.config.exists() else {}


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """Group runs over seeds; groups that share data and method get their differences as label."""
    by_key: dict[tuple, list[Run]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.record.seed):
        by_key[run.key].append(run)
    groups = [Group(members[0].record.method, members) for members in by_key.values()]
    _tell_apart(groups)
    return sorted(groups, key=lambda group: (group.first.data, group.label))


def _tell_apart(groups: Sequence[Group]) -> None:
    alike: dict[tuple[str, str], list[Group]] = defaultdict(list)
    for group in groups:
        alike[(group.first.data, group.first.method)].append(group)
    for members in alike.values():
        settings = [group.runs[0].settings for group in members]
        own = {k: c for k, c in _columns(settings).items() if len(set(c)) > 1}
        # What people set in the section `training` says what other keys are.
        typed = (flatten(g.runs[0].config.get("training") or {}, "training") for g in members)
        columns = _columns([{key: json.dumps(value) for key, value in flat} for flat in typed])
        own |= {key: column for key, column in columns.items() if column in own.values()}
        differing = dict(sorted(own.items(), key=lambda item: _by_telling_power(item[0])))
        shown = _shown_keys(differing)
        for index, group in enumerate(members):
            group.differing = {key: _plain(column[index]) for key, column in differing.items()}
            names = {key: "preset" if key == PRESET_KEY else key for key in shown}
            parts = [f"{name}={group.differing[key]}" for key, name in names.items()]
            group.label = group.first.method + (f" ({', '.join(parts)})" if parts else "")


def _columns(settings: Sequence[dict[str, str]]) -> dict[str, tuple]:
    keys = {key for flat in settings for key in flat}
    return {key: tuple(flat.get(key) for flat in settings) for key in keys}


def _shown_keys(differing: dict[str, tuple]) -> list[str]:
    """Keys for the labels: those needed to tell all apart first, then others up to a limit."""

    def distinct(*keys: str) -> int:
        return len(set(zip(*(differing[key] for key in keys), strict=True))) if keys else 1

    # Left out is what only repeats another (an interpolation), or follows from the preset.
    own: dict[tuple, str] = {}
    for key, column in differing.items():
        implied = PRESET_KEY in differing and distinct(PRESET_KEY, key) == distinct(PRESET_KEY)
        if key == PRESET_KEY or not implied:
            own.setdefault(column, key)
    needed: list[str] = []
    for key in own.values():
        if distinct(*needed, key) > distinct(*needed):
            needed.append(key)
    others = [k for k in own.values() if k not in needed and not k.endswith("._target_")]
    return needed + others[: max(0, MAX_LABEL_KEYS - len(needed))]


def _drop_doubles(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    newest: dict[tuple, Run] = {}
    sentences = []
    for run in sorted(runs, key=lambda r: (r.folder / FILE_NAME).stat().st_mtime, reverse=True):
        key = (run.key, run.record.seed)
        if key in newest:
            sentences.append(
                f"left out: {run.folder} has the seed and settings of {newest[key].folder}, "
                "which is newer."
            )
        newest.setdefault(key, run)
    return list(newest.values()), sentences


def _is_own_seed(key: str) -> bool:
    """Whether a key is the run's own seed, over which tables average, or tells of its parent's."""
    if key == "extends.identity":
        return True
    section, *rest = key.split(".")
    return section == "seed" or (rest == ["seed"] and section not in MEASURED)


def _by_telling_power(key: str) -> tuple[int, int, str]:
    rank = 0 if key == PRESET_KEY else 1 if key.startswith("training.") else 2
    return rank, key.count("."), key


def _plain(text: str | None) -> str:
    if text is None:
        return "unset"
    value = json.loads(text)
    return value if isinstance(value, str) else text
