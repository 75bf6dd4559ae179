"""`lgan`: the version, and what each script does."""

import sys
from importlib import import_module, metadata

from lgan import __version__


def main() -> None:
    """Run the console script `lgan`."""
    if sys.argv[1:] == ["--version"]:
        print(f"lgan {__version__}")
        return
    print(f"lgan {__version__}: lifelong GANs. The scripts, each with --help:")
    for entry in sorted(metadata.distribution("lgan").entry_points):
        said = str(import_module(entry.module).__doc__).partition(": ")[2].splitlines()
        if entry.name != "lgan" and said:
            print(f"  {entry.name:<16}{said[0]}")


if __name__ == "__main__":
    main()
