"""What became of a sweep's jobs, as one table for the screen."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hydra.errors import CompactHydraException

from lgan.errors import own_error

GOOD = ("complete", "skipped", "no data", "elsewhere")
STATUSES = (*GOOD, "failed", "died", "stopped", "never started")
"""Outcomes of a job: skipped ones were complete before, another process is at work on those
elsewhere, died ones were killed without a word."""


@dataclass
class Job:
    """What became of one job; status is one of `STATUSES`, or "running" while it runs."""

    number: int
    overrides: list[str]
    status: str = "never started"
    folder: str = ""
    error: str = ""


def verdict(jobs: Sequence[Job]) -> str:
    """Return a sentence if a job is not done, else ""."""
    bad = sum(job.status not in GOOD for job in jobs)
    said = f"error: {bad} of {len(jobs)} jobs of the sweep are not done, see the table."
    return said if bad else ""


def first_sentence(error: BaseException) -> str:
    """Return the first sentence of an error, its type before it unless it is lgan's own."""
    own = own_error(error)
    kind = "" if own or isinstance(error, CompactHydraException) else f"{type(error).__name__}: "
    text = " ".join(str(own or error).split()).removeprefix("error: ")
    sentence, stop, _ = text.partition(". ")
    return f"{kind}{sentence}{stop.strip()}"


def table(jobs: Sequence[Job]) -> str:
    """Return a line per job: what it was given beyond what all were given, and what came of it."""
    shared = set.intersection(*(set(job.overrides) for job in jobs)) if len(jobs) > 1 else set()
    rows = [("job", "status", "overrides", "folder", "error")]
    for job in jobs:
        own = " ".join(each for each in job.overrides if each not in shared)
        rows.append((str(job.number), job.status, own, job.folder, job.error))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        .rstrip() for row in rows
    )  # fmt: skip


def summary(jobs: Sequence[Job]) -> str:
    """Return how many jobs ended how, as "4 jobs: 3 complete, 1 failed"."""
    counts = Counter(job.status for job in jobs)
    parts = [f"{counts[status]} {status}" for status in STATUSES if counts[status]]
    return f"{len(jobs)} job{'s' * (len(jobs) != 1)}: {', '.join(parts)}"
