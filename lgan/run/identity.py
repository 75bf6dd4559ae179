"""What makes two runs the same: what is built from their configs, and the pictures it is shown."""

import ctypes
import hashlib
import json
import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from lgan.arguments import check_section, plain
from lgan.errors import RunError, check_known, warn
from lgan.files import load_tensors
from lgan.redaction import redacted

LEARNT = ("seed", "preset", "data", "network", "objective", "method", "optimizer",
          "training.rate_schedule", "training.test_mode", "trainer.precision",
          "trainer.compile", "extends")  # fmt: skip
"""What of a config decides what is learnt: all that is built and read, at its value.

The rest of `training` only says what other keys are; one that a run does not use names no run.
"""
MEASURED = ("evaluation", "selection", "callbacks")
"""The sections that decide how it is measured; not every config has each of them."""
ELSEWHERE = ("extends.run", "extends.copy", "data.root", "data.splits.further", "data.in_memory",
             "data.memory_limit_mb", "data.num_workers", "data.allow_small", "data.warn_below",
             "data.splits.broken",
             "evaluation.cache_dir", "callbacks.evaluation.evaluator",
             *(f"callbacks.{name}" for name in
               ("guard", "losses", "progress", "parameters", "checkpoint", "stop")))  # fmt: skip
"""Keys within these sections that say where or how fast, not what, or that repeat others."""
UNSET = {
    "method.init_from": None, "trainer.compile": "off", "data.capacity": "all",
    "callbacks.router._target_": "lgan.callbacks.router.TrainRouter",
    "callbacks.router.quantile": 0.999, "callbacks.router.shrinkage": 0.01,
    "callbacks.router.pictures": 300,
    "method.real_per_class": None, "method.real_choice": "random",
}  # fmt: skip
"""Keys, younger than some runs, that are as if they were not there at these values."""
WATCHER = "callbacks.watch_"  # begins names of a user's callbacks that change no number
RUN = "<run>"  # stands for the run's own folder in values that name it
FETCHED = "lgan.data.torchvision_sets."  # data sets that are the same wherever they lie
Stamp = Mapping[str, str]  # of identity and data (`RunRecord.stamp`); empty: of an older run


def identity(config: DictConfig | dict[str, Any]) -> dict[str, Any]:
    """Return the flat part of a config that decides a run's numbers, as {"a.b": JSON value}."""
    flat: dict[str, Any] = {}
    whole: Any = config if isinstance(config, DictConfig) else OmegaConf.create(config)
    whole = pickle.loads(pickle.dumps(whole))  # a copy, which OmegaConf makes four times as slowly
    place = None if OmegaConf.is_interpolation(whole, "run_dir") else whole.get("run_dir")
    OmegaConf.update(whole, "run_dir", RUN, force_add=True)  # which is named after the identity
    for section in (*LEARNT, *MEASURED):
        value = OmegaConf.select(whole, section)
        if OmegaConf.is_config(value):
            value = redacted(OmegaConf.to_container(value, resolve=True))
        if value is not None:
            flat |= {key: each for key, each in flatten(value, section) if each != {}}
    for key, unset in UNSET.items():
        if flat.get(key) == unset:  # as if the key were not there
            flat.pop(key, None)
    for folder in flat.get("data.splits.folders") or ():
        if isinstance(folder, dict):  # what lies there counts, not where that is
            folder.pop("root", None)
            folder.pop("fetch", None)
    elsewhere = (*(f"{key}." for key in ELSEWHERE), WATCHER)
    flat = {key: value for key, value in flat.items() if not f"{key}.".startswith(elsewhere)}
    for key, value in flat.items():
        if isinstance(value, str) and f"{value}/".startswith(f"{place}/"):
            flat[key] = RUN + value.removeprefix(str(place))
    return json.loads(json.dumps(flat))


def flatten(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield what nested mappings hold as ("a.b", value); an empty mapping is a value."""
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from flatten(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, content


def fingerprint(config: DictConfig) -> str:
    """Return eight hex digits that differ when anything that decides a run's numbers differs."""
    return digest_of([identity(config), *filter(None, [own_pictures(config)])])


def digest_of(plain: Any) -> str:  # noqa: ANN401  (any JSON value)
    """Return eight hex digits of plain data."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:8]


def own_pictures(config: DictConfig) -> str | None:
    """Return the digest of the pictures in `data.root` or `folders`; None where it is not known."""
    splits: Any = OmegaConf.select(config, "data.splits") or {}
    root = OmegaConf.select(config, "data.root")
    if root is None and not splits.get("folders"):
        return None
    from lgan.data.content import content_of  # not for `--help`

    with suppress(Exception):  # that they cannot be read, training says
        if not splits._target_.startswith(FETCHED):
            check_section(config, "data")
            cache = Path(config.paths.cache).expanduser()
            content = content_of(instantiate(splits)(root=root), cache)
            return None if content["root"] is None else content["digest"]  # None: lgan's own
    return None


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return a line `key: old -> new` for each key that differs; absent values show as (none)."""
    keys = sorted(old.keys() | new.keys())
    pairs = ((key, old.get(key, "(none)"), new.get(key, "(none)")) for key in keys)
    return [f"{key}: {was} -> {now}" for key, was, now in pairs if was != now]


def changes(old: DictConfig, new: DictConfig) -> list[str]:
    """Return what differs between two configs' identities, by the names people give them."""
    # A key of `training` that says what another key is stands in its place.
    sections = (plain(config.get("training") or {}) for config in (old, new))
    typed = differences(*(dict(flatten(section, "training")) for section in sections))
    names = {line.partition(": ")[2]: line for line in reversed(typed)}
    found = differences(identity(old), identity(new))
    return list(dict.fromkeys(names.get(line.partition(": ")[2], line) for line in found))


def check_stamp(path: Path, content: dict[str, Any], stamp: Stamp) -> None:
    """Refuse a file of another run; a file, or a run, of older lgans has no stamp to tell by."""
    found = content.get("stamp")
    if not stamp or not found:
        if stamp:
            warn(f"{path} does not say of which run it is, as older files did not; it is taken.")
        return
    odd = [what for what in stamp if not isinstance(found, dict) or found.get(what) != stamp[what]]
    if odd:
        other = "another run (its seed, method or settings differ)"
        raise RunError(
            f"{path} is of {other if 'run' in odd else 'a run on other data'}: it was exchanged; "
            "restore this run's own from a copy, or remove it."
        )


def load_stamped(path: Path, stamp: Stamp) -> dict[str, Any]:
    """Load a file of tensors that a run wrote; another run's is refused."""
    content = load_tensors(path)
    if isinstance(content, dict):
        check_stamp(path, content, stamp)
    return content


def register_resolvers() -> None:
    """Make known to OmegaConf what conf/ asks of lgan.

    `${lgan.fingerprint:}` names a run's folder. `${lgan.by:KEY,{VALUE:x,other:y}}` is a setting
    that depends on another key, the preset or the budget: x where that is VALUE, y elsewhere.
    `${lgan.budget:BUDGET,DATA,TRAINER,[DATA, ...]}` is what budget=auto becomes.
    """
    OmegaConf.register_new_resolver("lgan.budget", _budget, replace=True)
    OmegaConf.register_new_resolver("lgan.by", _chosen_by, replace=True)
    OmegaConf.register_new_resolver(
        "lgan.fingerprint", lambda *, _root_: fingerprint(_root_), replace=True
    )


def _budget(budget: str, data: str, trainer: str, small: list[str]) -> str:
    """Return the file in conf/budget/auto for choices of groups; "none" unless that is asked."""
    if budget != "auto":
        return "none"
    if data in small:
        return "own"
    return "cpu" if trainer == "cpu" or not (trainer == "gpu" or accelerated()) else "paper"


def accelerated() -> bool:
    """Return whether PyTorch finds a GPU here; without a driver it is not even imported."""
    if sys.platform != "darwin":
        try:
            ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        except OSError:
            return False
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def _chosen_by(key: str, choices: dict[str, Any], *, _root_: DictConfig) -> Any:  # noqa: ANN401
    value = OmegaConf.select(_root_, key)
    if "other" not in choices:
        check_known(key, value, choices)
    chosen = choices[value if value in choices else "other"]
    return OmegaConf.create(chosen) if isinstance(chosen, list) else chosen  # resolve needs its own
