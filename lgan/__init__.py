"""lgan: lifelong GANs, generators that learn a sequence of tasks without forgetting."""

from __future__ import annotations

__version__ = "0.1.0"
