"""What a paper and its code have, and where a run's config departs from it."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from omegaconf import DictConfig, OmegaConf
from pydantic import ConfigDict


@dataclass(frozen=True)
class Rule:
    """What a source has for the runs of some configs."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    source: str  # as in "DGM's code"
    # The runs it speaks of, all if empty: by key of the config a value, or a list of them.
    when: dict[str, Any] = field(default_factory=dict)
    # What the source has, by key; a run departs where its own value is another.
    values: dict[str, Any] = field(default_factory=dict)
    # What no key of the config expresses, as the rest of a sentence that begins with the source;
    # all of the runs depart from it.
    says: str = ""
    why: str = ""  # printed after each departure

    def departures(self, config: DictConfig) -> list[str]:
        """Return a sentence for each departure of a run; a key that is absent counts as null."""
        for key, asked in self.when.items():
            if OmegaConf.select(config, key) not in (asked if isinstance(asked, list) else [asked]):
                return []
        found = [
            f"{key} is {_shown(ours)}, {self.source} has {_shown(theirs)}"
            for key, theirs in self.values.items()
            if (ours := OmegaConf.select(config, key)) != theirs
        ]
        said = " ".join(self.says.split())
        found += [f"{self.source} {said}"] if said else []
        why = f" ({' '.join(self.why.split())})" if self.why else ""
        return [f"{text}{why}" for text in found]


def _shown(value: Any) -> str:  # noqa: ANN401
    return "null" if value is None else str(value)


def departures(rules: Sequence[Rule], configs: Mapping[tuple[str, str], DictConfig]) -> list[str]:
    """Return a line for each departure of the runs whose configs stand by data set and method."""
    found, whole = dict[str, dict[str, list[str]]](), dict[str, list[str]]()
    for (run, method), config in configs.items():
        whole.setdefault(run, []).append(method)
        for text in itertools.chain(*(rule.departures(config) for rule in rules)):
            found.setdefault(text, {}).setdefault(run, []).append(method)
    lines = []
    for text, where in found.items():
        runs = [
            run if names == whole[run] else f"{run} ({', '.join(dict.fromkeys(names))})"
            for run, names in where.items()
        ]
        lines.append(f"{'all' if where == whole else ', '.join(runs)}: {text}.")
    return lines
