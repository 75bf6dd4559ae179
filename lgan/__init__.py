"""lgan: lifelong GANs, generators that learn a sequence of tasks without forgetting.

`load`, `train` and `results`, what `Run` does, and the columns of its tables are public, as are the
console scripts with their keys. They change only with a line in CHANGELOG.md: what is to go warns
in one release (`DeprecationWarning`) and goes in the next; before 1.0 that is a minor one, later a
major one. All else may change at any time, but what CONTRIBUTING.md shows how to extend.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"
__all__ = ["Run", "load", "results", "train"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  (their types stand in __init__.pyi)
    """Import what is asked for: `import lgan` itself shall cost nothing, and tables no torch."""
    if name == "plot":
        return import_module("lgan.plot")
    if name not in __all__:
        raise AttributeError(f"module 'lgan' has no attribute '{name}'")
    return getattr(import_module("lgan.reports.frame" if name == "results" else "lgan.api"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
