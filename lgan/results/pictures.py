"""Pictures as they stand in the report."""

from __future__ import annotations

import base64
from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """An image as a `data:` URI, with the text for those who cannot see it."""

    uri: str
    alt: str
    caption: str


def picture(png: bytes, alt: str, caption: str) -> Picture:
    """Return PNG bytes as a picture."""
    return Picture("data:image/png;base64," + base64.b64encode(png).decode("ascii"), alt, caption)
