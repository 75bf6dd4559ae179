"""What the console scripts share: a mistake ends in one sentence."""

import functools
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from lgan import __version__
from lgan.arguments import settings_of
from lgan.errors import own_error
from lgan.launch.compose import REFUSALS, config_path, refusal
from lgan.launch.sweep import FULL_ERROR, JobFailedError, SweepNotes, current
from lgan.redaction import quiet_console, redacted

SPINS = "10000"
"""How often OpenMP's threads look for work before they sleep: its 300,000 are milliseconds that a
run takes from others on the same cores, which makes all of them slower (experiments/speed.md)."""


def friendly_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a task function, below `hydra.main`: an `LganError` ends in one sentence, code 1."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        redacted(OmegaConf.to_container(args[0], resolve=False))
        sys.argv[:] = redacted(sys.argv)  # W&B writes them down
        try:
            return function(*args, **kwargs)
        except Exception as error:
            own = own_error(error)
            if own is None or os.environ.get(FULL_ERROR) == "1":
                raise
            print(f"error: {redacted(str(own))}", file=sys.stderr, flush=True)
            if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
                # SystemExit would end the whole sweep here; an exception only ends this job.
                raise JobFailedError(f"error: {redacted(str(own))}") from error
            raise SystemExit(1) from error

    return wrapped


def run_script(
    function: Callable[..., Any],
    config_name: str,
    path: str | None = config_path(),
    sweeps: bool = True,
) -> None:
    """Run a console script: compose `<path>/<config_name>.yaml` with the command line, call.

    What does not sweep refuses `-m`, for which Hydra would make folders.
    """
    if "OMP_WAIT_POLICY" not in os.environ:  # torch, which reads it, is imported later
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    if "--version" in sys.argv[1:]:
        print(f"lgan {__version__}")
        return
    # Flags may stand between settings, where argparse alone would not take them.
    asked, unknown = get_args_parser().parse_known_intermixed_args()
    if unknown:
        _refuse(f"{' '.join(unknown)}: settings are KEY=VALUE, without dashes; see --help")
    if asked.multirun and not sweeps:
        _refuse(f"-m: lgan-{config_name} does not sweep; lgan-train, lgan-extend and lgan-paper do")
    sys.argv[1:] = [each for each in sys.argv[1:] if each not in asked.overrides] + asked.overrides
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # class names in an ASCII locale
    decorated = hydra.main(version_base="1.3", config_path=path, config_name=config_name)
    called: list[DictConfig] = []
    traces = os.environ.get(FULL_ERROR)
    SweepNotes.traces = traces == "1"

    @functools.wraps(function)
    def calling(config: DictConfig) -> Any:  # noqa: ANN401
        called.append(config)
        if current() is None:  # a sweep's launchers raise too
            _set_full_errors(traces)
        return friendly_errors(function)(config)

    with quiet_console():
        os.environ[FULL_ERROR] = "1"  # Hydra raises what it refuses, instead of printing
        try:
            decorated(calling)()
        except REFUSALS as error:
            if called or traces == "1" or isinstance(error, JobFailedError):
                raise
            own = asked.config_dir and f"file://{Path(asked.config_dir).absolute()}"
            given = [*asked.overrides, *([f"hydra.searchpath=[{own}]"] if own else [])]
            _refuse(refusal(error, given, config_name, path))
        finally:
            _set_full_errors(traces)


def _refuse(said: str) -> NoReturn:
    print(f"error: {redacted(said)}.", file=sys.stderr, flush=True)
    raise SystemExit(1) from None


def _set_full_errors(value: str | None) -> None:
    os.environ.pop(FULL_ERROR, None)
    os.environ.update({FULL_ERROR: value} if value is not None else {})


def script(config_name: str) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Return a decorator: from a function to a console script, whose settings are its arguments."""

    def decorate(function: Callable[..., None]) -> Callable[[], None]:
        def run(config: DictConfig) -> None:
            function(**settings_of(function, config))

        return functools.wraps(function)(lambda: run_script(run, config_name, sweeps=False))

    return decorate
