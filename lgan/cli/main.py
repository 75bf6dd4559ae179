"""`lgan`: the version, and what each script does."""

import sys
from importlib import import_module, metadata

from lgan import __version__
from lgan.errors import did_you_mean


def main() -> None:
    """Run the console script `lgan`."""
    if sys.argv[1:] == ["--version"]:
        print(f"lgan {__version__}")
        return
    print(f"lgan {__version__}: lifelong GANs. The scripts, each with --help:")
    scripts = sorted(metadata.distribution("lgan").entry_points)
    for entry in scripts:
        said = str(import_module(entry.module).__doc__).partition(": ")[2].splitlines()
        if entry.name != "lgan" and said:
            print(f"  {entry.name:<16}{said[0]}")
    if asked := [each for each in sys.argv[1:] if each not in ("--help", "-h")]:
        near = did_you_mean(f"lgan-{asked[0]}", [entry.name for entry in scripts])
        sys.exit(f"error: lgan {asked[0]} is no script{near}.")


if __name__ == "__main__":
    main()
