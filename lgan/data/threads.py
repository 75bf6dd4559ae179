"""The same work for many files, in a few threads, with its progress shown."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from lgan.progress import bar

Item = TypeVar("Item")
Result = TypeVar("Result")

_THREADS = min(8, os.cpu_count() or 1)
_CHUNK = 64  # files per piece of work: few enough futures for 100,000s of files


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
