"""What the runs of one table were trained with, and in what that differs beside the method."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lgan.run.identity import flatten

PARTS = {
    "generator": "network.generator",
    "discriminator": "network.discriminator",
    "objective": "objective",
    "steps": "training.steps",
    "critic steps": "training.critic_steps",
    "batch": "training.batch_size",
    "optimizer": "optimizer",
    "rate schedule": "training.rate_schedule",
    "first weights": "method.init_from",
}
"""What is told of a run, and where its config has it; an optimizer holds its rates."""


def setup_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return what a resolved config says of each part, in words; nothing for what it lacks."""
    flat = {key: value for key, value in flatten(dict(config)) if value not in (None, {})}
    found = {}
    for name, place in PARTS.items():
        if inside := [key for key in flat if f"{key}.".startswith(f"{place}.")]:
            found[name] = _words({key[len(place) + 1 :]: flat[key] for key in inside})
    return found


def _words(keys: dict[str, Any]) -> str:
    """One value as it is; of what is built the name, and what it is given in brackets."""
    if "" in keys:
        return str(keys[""])
    short = {
        key.removesuffix("._target_"): str(value).rpartition(".")[2] if "_target_" in key else value
        for key, value in keys.items()
        if not key.endswith(("_partial_", "_recursive_"))
    }
    name = short.pop("_target_", "")
    return f"{name}({', '.join(f'{key}={value}' for key, value in short.items())})"


def differing(setups: Sequence[tuple[str, Mapping[str, str]]]) -> tuple[list[str], list[str]]:
    """Return in what each row of a table, (label, setup), differs from most, "–" if in nothing.

    And notes with the values, where not all agree. A row without a setup (its config is lost) says
    so and is compared with none.
    """
    known = Counter(tuple(sorted(setup.items())) for _, setup in setups if setup)
    if len(known) < 2:
        return ["–"] * len(setups), []
    usual = dict(known.most_common(1)[0][0])
    texts, told, parts = [], [], set()
    for label, setup in setups:
        own = [part for part in PARTS if setup and setup.get(part) != usual.get(part)]
        texts.append((", ".join(own) or "–") if setup else "not recorded")
        parts.update(own)
        told += [f"{label}: {_told(setup, own)}."] if own else []
    common = _told(usual, [part for part in PARTS if part in parts])
    return texts, [f"Rows differ in more than the method; most have {common}.", *told]


def _told(setup: Mapping[str, str], parts: Sequence[str]) -> str:
    return "; ".join(f"{part} {setup.get(part, 'none')}" for part in parts)
