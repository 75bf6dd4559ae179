"""The errors lgan raises on purpose; each message is one sentence a user can act on."""

import sys
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache


class LganError(Exception):
    """Base of every error that lgan raises on purpose."""


class ConfigError(LganError, ValueError):
    """A configuration value is wrong; the message names key, value and what would be right."""


class DataError(LganError):
    """Data is absent, unreadable or does not fit the configuration."""


class TaskAccessError(LganError):
    """Training data of a task was asked for while another task is being trained."""


class RunError(LganError):
    """A run folder cannot be used as asked: other config, no finished task, altered files."""


class HeldError(RunError):
    """Another process trains the run."""


class DamagedFileError(RunError):
    """A file of a run is truncated, or its bytes are not those that were written."""


class TrainingDivergedError(LganError):
    """A loss or weight is no longer finite; the message names task and step."""


def own_error(error: BaseException | None) -> LganError | None:
    """Return the first `LganError` in a chain of causes, or None."""
    while error is not None and not isinstance(error, LganError):
        error = error.__cause__
    return error


def did_you_mean(asked: object, known: Iterable[object]) -> str:
    """Return " (did you mean NAME?)" for what is nearly one of the names known, else ""."""
    near = get_close_matches(str(asked), list(map(str, known)), 1)
    return f" (did you mean {near[0]}?)" if near else ""


def check_known(key: str, asked: object, known: Iterable[object]) -> None:
    """Raise unless what is asked for is among the names known."""
    names = list(map(str, known))
    if asked not in names:
        near = did_you_mean(asked, names)
        raise ConfigError(f"{key}={asked} is none of {', '.join(names)}{near}.")


def warn(sentence: str) -> None:
    """Print a warning to stderr, where it does not mix with a table on stdout."""
    print(f"warning: {sentence}", file=sys.stderr, flush=True)


@cache
def warn_once(sentence: str) -> None:
    """Print a warning, unless this process has printed it before."""
    warn(sentence)
