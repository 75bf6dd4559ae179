"""What every entry point shares: a user's mistake ends in one sentence, not in a stack trace."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode

from lgan.errors import LganError


class JobFailedError(CompactHydraException):
    """A job of a multirun failed; Hydra prints a compact exception as its text alone."""


def friendly_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a task function, below `hydra.main`, so that an `LganError` ends in one sentence.

    A single run prints `error: <sentence>` to stderr and exits with code 1. In a multirun the
    sentence is printed at once and the job is marked as failed: the launcher goes on to the next
    job, and Hydra exits with code 1 at the end. `HYDRA_FULL_ERROR=1` shows the full trace. An
    `LganError` inside `hydra.utils.instantiate` is found behind Hydra's wrapper. All other
    exceptions pass through untouched.
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        try:
            return function(*args, **kwargs)
        except Exception as error:
            own = own_error(error)
            if own is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
                raise
            print(f"error: {own}", file=sys.stderr, flush=True)
            if in_multirun():
                # SystemExit would end the whole sweep here; an exception only ends this job.
                raise JobFailedError(f"error: {own}") from error
            raise SystemExit(1) from error

    return wrapped


def own_error(error: BaseException | None) -> LganError | None:
    """The first `LganError` in a chain of causes, or None."""
    while error is not None and not isinstance(error, LganError):
        error = error.__cause__
    return error


def in_multirun() -> bool:
    """Whether the current job is one of a Hydra multirun."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def warn(sentence: str) -> None:
    """Print a warning to stderr, where it does not mix with a table on stdout."""
    print(f"warning: {sentence}", file=sys.stderr, flush=True)
