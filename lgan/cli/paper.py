"""`lgan-paper`: run what a paper's table needs, then print ours beside the paper's."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lgan.cli.common import config_path, friendly_errors
from lgan.cli.table import as_list, write_bytes, write_text
from lgan.errors import ConfigError, RunError
from lgan.files import write_atomically

if TYPE_CHECKING:
    from lgan.results.paper import Outcome
    from lgan.results.paper_file import PaperTable


def compose_run(overrides: list[str]) -> DictConfig:
    """The config that `lgan-train` would make of some overrides.

    Raises:
        ConfigError: an override does not fit the config.
    """
    from lgan.run.folder import register_resolvers

    register_resolvers()
    folder = str(Path(config_path()).resolve())
    with _no_outer_hydra(), initialize_config_dir(folder, version_base="1.3"):
        try:
            config = compose("train", overrides=overrides)
            OmegaConf.resolve(config)
        except (HydraException, OmegaConfBaseException) as error:
            said = " ".join(str(error).split())
            raise ConfigError(f"overrides {shlex.join(overrides)} do not fit: {said}") from error
    return config


@contextlib.contextmanager
def _no_outer_hydra() -> Iterator[None]:
    """Set Hydra's state of this very app aside: only one may be initialised."""
    state = GlobalHydra.instance()
    outer, state.hydra = state.hydra, None
    try:
        yield
    finally:
        state.hydra = outer


def data_overrides(data_root: str | None, run: str) -> list[str]:
    """Where the data of a run lie: `data_root/<run>` if there is such a folder, else `data_root`.

    Without `data_root` the data set's own default (the cache) stays.
    """
    if data_root is None:
        return []
    root = Path(data_root).expanduser()
    place = root / run if (root / run).is_dir() else root
    return [f"data.root={quote(str(place))}"]


def quote(text: str) -> str:
    """A text as Hydra's override grammar reads it back, whatever characters it holds."""
    if re.fullmatch(r"[A-Za-z0-9_./-]+", text):
        return text
    # Hydra reads backslashes as they stand, but for those before a quotation mark.
    doubled = re.sub(r"(\\+)(?='|\Z)", lambda found: found[0] * 2, text)
    return "'" + doubled.replace("'", "\\'") + "'"


def build_table(config: DictConfig, train: Callable[[DictConfig], Path]) -> str:
    """Do what conf/paper.yaml asks for and return the table as Markdown.

    Args:
        config: as composed from conf/paper.yaml.
        train: trains a composed config, or finds it complete; returns the run's folder.

    Raises:
        ConfigError: a value does not fit.
        RunError: a run failed for another reason than absent data; the table is written before.
    """
    from lgan.results.paper import run_all
    from lgan.results.paper_file import PaperTable
    from lgan.results.paper_render import render

    [path] = as_list(config.table, "table", "experiments/mergan/table1.yaml")
    table = PaperTable.load(Path(path))
    wanted = None if config.methods is None else as_list(config.methods, "methods", "[sft]")
    methods = table.choose(wanted, config.budget)
    seeds = [int(seed) for seed in as_list(config.seeds, "seeds", "[0,1,2]")]

    def extra(run: str) -> list[str]:
        place = [f"paths.runs={quote(str(config.runs))}"]
        return [*place, *data_overrides(config.data_root, run), *config.overrides]

    if config.dry_run:
        return dry_run(table, methods, config.budget, seeds, extra)
    outcomes = run_all(
        table, methods, config.budget, seeds, extra, lambda asked: train(compose_run(asked)), say
    )
    output = Path(config.runs) / f"{Path(path).stem}.md"
    pictures = write_figures(table, methods, outcomes, output)
    text = render(table, methods, config.budget, outcomes, pictures)
    write_text(output, text)
    say(f"written: {output}")
    failed = [outcome.problem for outcome in outcomes.values() if outcome.failed]
    if failed:
        print(text, end="")
        raise RunError(f"{len(failed)} of the table's entries failed; the first: {failed[0]}")
    return text


def write_figures(
    table: PaperTable,
    methods: list[str],
    outcomes: dict[tuple[str, str], Outcome],
    output: Path,
) -> list[str]:
    """Write a table's figures beside it, as `<stem>.png` or `<stem>-<name>.png`.

    Returns:
        The names of the files.
    """
    from lgan.results.paper_render import draw_figures

    names = []
    for key, picture in draw_figures(table, methods, outcomes).items():
        path = output.with_name(f"{output.stem}-{key}.png" if key else f"{output.stem}.png")
        if picture is None:
            say(f"not drawn: {path.name}, no run has what it shows")
            continue
        write_atomically(path, partial(write_bytes, picture))
        say(f"written: {path}")
        names.append(path.name)
    return names


def dry_run(
    table: PaperTable,
    methods: list[str],
    budget: str,
    seeds: list[int],
    extra: Callable[[str], list[str]],
) -> str:
    """The command of every run, after its config was composed without an error."""
    lines = []
    for run in table.runs:
        for method in methods:
            for seed in [] if table.left_out(run, method, budget) else seeds:
                overrides = [*table.overrides(run, method, budget, seed), *extra(run)]
                compose_run(overrides)
                lines.append(shlex.join(["lgan-train", *overrides]))
    return "\n".join([*lines, ""])


def say(line: str) -> None:
    """Progress goes to stderr: stdout is the table's."""
    print(line, file=sys.stderr, flush=True)


def _train(config: DictConfig) -> Path:
    # Imported here: Lightning takes seconds, and `--help` and `dry_run` need none of it.
    from lgan.training.train import train

    with contextlib.redirect_stdout(sys.stderr):
        return train(config)


@friendly_errors
def _paper_main(config: DictConfig) -> None:
    print(build_table(config, _train), end="")


def main() -> None:
    """Run the console script `lgan-paper`."""
    OmegaConf.register_new_resolver("lgan.stem", lambda path: Path(str(path)).stem, replace=True)
    # Not read from the folder: there `budget` is a group of lgan-train's, and Hydra would take
    # our `budget=cpu` for a choice in it.
    own = OmegaConf.load(Path(config_path()) / "paper.yaml")
    ConfigStore.instance().store(name="paper", node=own, provider="lgan")
    hydra.main(version_base="1.3", config_path=None, config_name="paper")(_paper_main)()


if __name__ == "__main__":
    main()
