"""Secrets of a command line, kept out of all that is written; they are still used as given."""

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import lru_cache
from typing import Any, TextIO

HIDDEN = "<hidden>"
_NAMES = (r"(?:api_?key|access_?key|private_?key|secret|token|passw(?:or)?d|passphrase|pwd"
          r"|credentials?|authorization|signature)")  # fmt: skip
_KEY = re.compile(rf"{_NAMES}$", re.IGNORECASE)
_ASSIGNMENT = re.compile(
    rf"({_NAMES}[\"']?\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s\"',;&}}\])]+)", re.IGNORECASE
)
_LOGIN = re.compile(r"(://[^/\s:@]*:)([^/\s@]+)(?=@)")
_LONG = 8  # shorter values are no secrets, and their letters stand everywhere
_known: set[str] = set()


def redacted(content: Any) -> Any:  # noqa: ANN401  (plain data)
    """Return plain data with what looks like a key, a token or a password hidden.

    It is told by the name it is given to (`logger.api_key`), in a mapping or in an override such as
    `+logger.api_key=...`, or by its place in a URL. A value once told so is hidden elsewhere too.
    """
    told = len(_known)
    hidden = _hide(content)
    # What stands before a secret is told has to be hidden too.
    return hidden if len(_known) == told else _hide(content)


@contextmanager
def quiet_console() -> Iterator[None]:
    """Keep the secrets of the command line off the console, whoever prints."""
    _hide(sys.argv)
    with redirect_stdout(_hiding(sys.stdout)), redirect_stderr(_hiding(sys.stderr)):
        yield


class _Hiding(io.TextIOWrapper):
    def write(self, text: str) -> int:
        super().write(_hide(text))
        return len(text)

    def close(self) -> None:
        """Leave the stream open to others."""
        with suppress(ValueError):  # closed by them
            self.flush()


def _hiding(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    return _Hiding(stream.buffer, stream.encoding, stream.errors,
                   line_buffering=stream.line_buffering, write_through=True)  # fmt: skip


def _told(secret: str) -> str:
    if len(secret) >= _LONG and secret != HIDDEN and "${" not in secret:
        _known.add(secret)
    return HIDDEN


def _hide_named(name: Any, value: Any) -> Any:  # noqa: ANN401
    plain = isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != ""
    return _told(str(value)) if plain and _is_secrets(str(name)) else _hide(value)


@lru_cache(10_000)  # a record names the same metrics in each of its rows
def _is_secrets(name: str) -> bool:
    return _KEY.search(name) is not None


def _hide(content: Any) -> Any:  # noqa: ANN401
    if isinstance(content, dict):
        return {_hide(name): _hide_named(name, value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return type(content)(map(_hide, content))
    if not isinstance(content, str):
        return content
    for pattern in (_LOGIN, _ASSIGNMENT) if ":" in content or "=" in content else ():
        content = pattern.sub(lambda found: found[1] + _told(found[2].strip("\"'")), content)
    for secret in sorted(_known, key=len, reverse=True):
        content = content.replace(secret, HIDDEN)
    return content
