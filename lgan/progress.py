"""How far something is: a bar on a terminal; where there is none (logs, notebooks), lines."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")
PACE = 30.0  # seconds between two lines at first
SHARE, LONGEST = 0.05, 600.0  # later this share of the time so far, but no more seconds than that
_THREADS = min(8, os.cpu_count() or 1)
_CHUNK = 64  # files per piece of work: few enough futures for 100,000s of files


def bar(
    title: str, total: int, unit: str = "step", initial: int = 0, leave: bool = True,
    hidden: bool = False, delay: float = 0,
) -> tqdm | Lines:  # fmt: skip
    """Return what shows how many of `total` units are done; a context, told by `update`."""
    if hidden or sys.stderr.isatty():
        return tqdm(
            desc=title, total=total, initial=initial, unit=unit, leave=leave, disable=hidden,
            delay=delay,
        )  # fmt: skip
    return Lines(title, total, unit, initial)


def over(items: Iterable[Item], title: str, total: int, **settings: Any) -> Iterator[Item]:  # noqa: ANN401
    """Yield items, and show how many of them are done; see `bar`."""
    with bar(title, total, leave=False, **settings) as shown:
        for item in items:
            yield item
            shown.update()


class Lines:
    """What of a tqdm bar is used here, in lines on stderr that come ever more seldom."""

    def __init__(self, title: str, total: int, unit: str, initial: int = 0) -> None:
        self.title, self.total, self.n = title, total, initial
        self.units = f"{unit}es" if unit.endswith("ch") else f"{unit}s"
        self.initial, self._begun, self._said = initial, time.monotonic(), time.monotonic()
        self._more = ""

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, n: float = 1) -> None:
        """Note that `n` more units are done, and say so when a line is due."""
        self.n += int(n)
        now = time.monotonic()
        if now - self._said >= min(max(SHARE * (now - self._begun), PACE), LONGEST):
            self.say(f"{self.n} of {self.total} {self.units}")

    def set_description(self, title: str) -> None:
        """Change the title of the lines to come."""
        self.title = title

    def set_postfix(self, values: Mapping[str, str], refresh: bool = True) -> None:
        """Change what stands behind the lines to come."""
        self._more = " ".join(f"{name}={value}" for name, value in values.items())

    def say(self, what: str, left: float | None = None) -> None:
        """Print a line at once: what is done, and the seconds left (None: at the pace so far)."""
        self._said = time.monotonic()
        if left is None:
            done = self.n - self.initial
            left = (self._said - self._begun) / max(done, 1) * (self.total - self.n)
        share = f"{100 * self.n // max(self.total, 1)} %, about {duration(left)} left"
        more = f" ({self._more})" if self._more else ""
        print(f"{self.title}: {what}, {share}{more}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End; nothing is left to be done."""


def duration(seconds: float) -> str:
    """Return a time in words, as exact as one needs it: 8 s, 12 min, 3.5 hours, 2.1 days."""
    for limit, size, unit in ((100, 1, "s"), (100 * 60, 60, "min")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    hours = seconds / 3600
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"


def threaded(work: Callable[[Item], Result], items: Sequence[Item], title: str) -> Iterable[Result]:
    """Yield ``work(item)`` in order, from a few threads."""
    chunks = [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]
    with ThreadPoolExecutor(_THREADS) as pool, bar(title, len(items), "file", leave=False) as shown:
        try:
            for results in pool.map(lambda chunk: [work(item) for item in chunk], chunks):
                shown.update(len(results))
                yield from results
        finally:
            # After an error the remaining chunks would only delay its message.
            pool.shutdown(wait=True, cancel_futures=True)
