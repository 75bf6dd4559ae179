"""Disturb training runs in every way, and see that they end as if nothing had happened.

`make soak`, or `python -m benchmarks.soak [--quick] [--families a,b] [--faults kill,aimed] ...`

Each configuration is a tiny run of `lgan-train` in real processes. A fault is done to it, the same
command goes on, the next fault follows, until the run is complete; then its checkpoints, result
matrix, pictures and logged numbers must be those of a run that was let alone, to the bit. The exit
code is 1 if a fault was not recovered. Linux only.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.soak_campaign import Campaign, Outcome
from benchmarks.soak_configurations import CONFIGURATIONS, QUICK
from benchmarks.soak_plans import PLANS, TITLES
from lgan.files import write_atomically, write_json

LONG = ("aimed", "kill")
"""The faults of many starts."""
HEADER = (
    "| fault | configuration | times injected | recovered | steps lost at most | "
    "same result | |\n|---|---|---:|---:|---:|---|---|"
)


def main() -> None:
    """Run the campaign that the command line asks for."""
    options = parse(sys.argv[1:])
    if not Path("/proc/self/environ").exists():
        raise SystemExit("error: benchmarks.soak finds processes in /proc: it needs Linux.")
    began, deadline = time.monotonic(), time.monotonic() + 60 * options.minutes
    outcomes: list[Outcome] = []
    lock = threading.Lock()
    with tqdm(unit="start", desc="soak") as bar, ThreadPoolExecutor(options.jobs) as pool:
        work = rows_of(options, bar.update)

        def soak(row: tuple[Campaign, str]) -> None:
            campaign, fault = row
            if time.monotonic() > deadline:
                return
            outcome = campaign.run(fault)
            with lock:
                outcomes.append(outcome)
                save(outcomes, options, time.monotonic() - began)

        list(pool.map(soak, work))
    print(render(outcomes, len(work)), flush=True)
    raise SystemExit(0 if all(outcome.passed for outcome in outcomes) else 1)


def rows_of(
    options: argparse.Namespace, tick: Callable[[], Any] = lambda: None
) -> list[tuple[Campaign, str]]:
    """Return each row of the table to be: a configuration's campaign, and a fault.

    The longest rows come first: what is left at the end keeps all workers busy.
    """
    rows = []
    for name in options.families:
        own, folder = CONFIGURATIONS[name], options.output / "runs" / name
        cache = options.output / "cache"
        campaign = Campaign(own, folder, cache, options.seed, options.points, tick)
        rows += [(campaign, fault) for fault in faults_of(name, options)]
    return sorted(rows, key=lambda row: row[1] not in LONG)


def faults_of(name: str, options: argparse.Namespace) -> list[str]:
    """Return the faults that a configuration is to meet."""
    if options.faults:
        return options.faults
    if options.quick and name != options.families[0]:
        return ["kill"]
    return list(CONFIGURATIONS[name].faults)


def render(outcomes: list[Outcome], planned: int) -> str:
    """Return the Markdown table and what went wrong."""
    lines = [HEADER]
    order = list(PLANS)
    for o in sorted(outcomes, key=lambda o: (order.index(o.fault), o.configuration)):
        equal = {True: "yes", False: "NO", None: "no end"}[o.equal]
        lines.append(
            f"| {TITLES[o.fault]} | {o.configuration} | {o.injected} | {o.recovered} | {o.lost} | "
            f"{equal} | {'ok' if o.passed else 'FAILED'} |"
        )
    injected, recovered = (
        sum(getattr(o, key) for o in outcomes) for key in ("injected", "recovered")
    )
    failed = sum(not o.passed for o in outcomes)
    lines += [
        "",
        f"{injected} faults, {recovered} recovered; {failed} of {len(outcomes)} rows failed.",
    ]
    if len(outcomes) < planned:
        lines.append(f"{planned - len(outcomes)} rows are missing: the time was up, or it goes on.")
    for o in outcomes:
        lines += [f"- {o.configuration}, {o.fault}: {problem}" for problem in o.problems]
    return "\n".join([*lines, ""])


def save(outcomes: list[Outcome], options: argparse.Namespace, seconds: float) -> None:
    """Write soak.json and soak.md: whole files at any moment."""
    content = {
        "seed": options.seed,
        "points": options.points,
        "seconds": round(seconds, 1),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "outcomes": [outcome.plain() for outcome in outcomes],
    }
    write_json(options.output / "soak.json", content)
    text = render(outcomes, len(rows_of(options)))
    write_atomically(options.output / "soak.md", text)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options, names checked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a few families and points: minutes")
    parser.add_argument("--families", help=f"of: {', '.join(CONFIGURATIONS)}; all by default")
    parser.add_argument("--faults", help=f"of: {', '.join(PLANS)}; by default each family's own")
    parser.add_argument("--points", type=int, help="random SIGKILLs per family (10; quick: 4)")
    parser.add_argument("--minutes", type=float, default=600, help="begin no fault later than this")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="at once")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--output", type=Path, default=Path("outputs/soak"))
    options = parser.parse_args(arguments)
    options.output = options.output.absolute()
    options.points = options.points or (4 if options.quick else 10)
    default = QUICK if options.quick else tuple(CONFIGURATIONS)
    options.families = _names(parser, options.families, CONFIGURATIONS) or list(default)
    options.faults = _names(parser, options.faults, PLANS)
    return options


def _names(parser: argparse.ArgumentParser, given: str | None, known: Any) -> list[str]:  # noqa: ANN401
    names = given.split(",") if given else []
    for name in names:
        if name not in known:
            parser.error(f"{name} is none of {', '.join(known)}")
    return names


if __name__ == "__main__":
    main()
