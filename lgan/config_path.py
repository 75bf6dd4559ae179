"""Where the Hydra configuration lies, in a wheel and in a checkout."""

from __future__ import annotations

from pathlib import Path


def config_path() -> str:
    """Return the folder of yaml files, for `hydra.main(config_path=config_path(), ...)`.

    An installed wheel carries it as ``lgan/conf``; in a checkout (editable or not installed at
    all) it is the top-level ``conf`` beside the package.
    """
    package = Path(__file__).resolve().parent
    packaged = package / "conf"
    return str(packaged if packaged.is_dir() else package.parent / "conf")
