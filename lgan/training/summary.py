"""What is about to be trained, on one screen, before it begins; kept in the record."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from omegaconf import DictConfig

from lgan.arguments import plain
from lgan.data.datamodule import TaskSequenceDataModule
from lgan.distributed import world
from lgan.methods.base import LifelongGAN
from lgan.run.folder import RunFolder

WIDTH, LINES = 96, 8  # of the screen; of a list on it


def summarise(
    config: DictConfig, data: TaskSequenceDataModule, method: LifelongGAN, content: dict[str, Any]
) -> dict[str, Any]:
    """Return the facts as plain data."""
    return {
        "method": config.method.name,
        "data": config.data.name,
        "seed": config.seed,
        "classes": {
            name: {part: counts[part] for part in ("train", "validation", "test")}
            for name, counts in content["classes"].items()
        },
        "tasks": [[data.class_names[c] for c in task.classes] for task in data.tasks],
        "repeated": data.repeated,
        "image_shape": list(data.image_shape),
        "found": data.found,
        "steps": data.steps,
        "batch_size": data.batch_size,
        "budget": config.get("budget"),
        "budget_why": config.get("budget_why"),
        "parameters": method.parameter_counts()["total"],
        "device": device(config),
        "tags": plain(config.get("tags") or []),
    }


def device(config: DictConfig) -> str:
    """Return where networks are trained, in words."""
    cpu = config.trainer.accelerator == "cpu" or not torch.cuda.is_available()
    several = f", {world()} processes" if world() > 1 else ""
    place = f"CPU, {torch.get_num_threads()} threads" if cpu else torch.cuda.get_device_name()
    return place.replace("CPU, 1 threads", "CPU, 1 thread") + several


def lines(facts: dict[str, Any], folder: RunFolder) -> list[str]:
    """Return the summary for a screen."""
    tasks, why = facts["tasks"], facts["budget_why"]
    shape = "x".join(map(str, facts["image_shape"][1:]))
    colours = "grey" if facts["image_shape"][0] == 1 else "RGB"
    total = len(tasks) * facts["steps"]
    rows = [
        ("run", f"{facts['method']} on {facts['data']}, seed {facts['seed']}"),
        ("tasks", _shortened(["+".join(task) for task in tasks], f"{len(tasks)}: ")),
        *(("classes" if not n else "", row) for n, row in enumerate(_classes(facts["classes"]))),
        ("pictures", f"{shape}, {colours}, for the networks{_found(facts['found'])}"),
        *_left_out(facts["found"]),
        *([("repeated", _counted(facts["repeated"]))] if facts["repeated"] else []),
        ("steps", f"{facts['steps']:,} of each task, {total:,} in all, in batches of "
         f"{facts['batch_size']}"),
        ("budget", f"{facts['budget']}" + (f" (budget=auto: {why})" if why else "")),
        ("trained on", f"{facts['device']}, {facts['parameters']:,} parameters"),
        ("goes to", str(folder.path)),
    ]  # fmt: skip
    return [f"  {name:<11}{text}".rstrip() for name, text in rows]


def line(facts: dict[str, Any], folder: RunFolder) -> str:
    """Return the summary of one of many runs."""
    pictures = sum(counts["train"] for counts in facts["classes"].values())
    return (
        f"{facts['method']} on {facts['data']}, seed {facts['seed']}: {len(facts['tasks'])} tasks, "
        f"{pictures:,} training pictures, {facts['steps']:,} steps of each task, budget "
        f"{facts['budget']}, to {folder.path}"
    )


def show(facts: dict[str, Any], folder: RunFolder, brief: bool) -> None:
    """Print the summary to stderr: stdout is for results."""
    said = [line(facts, folder)] if brief else lines(facts, folder)
    print("\n".join(said), file=sys.stderr, flush=True)


def _classes(classes: dict[str, dict[str, int]]) -> Iterator[str]:
    """Yield rows of how many pictures classes have: alike ones together, the smallest first."""
    alike: dict[tuple[int, ...], list[str]] = {}
    for name, counts in classes.items():
        alike.setdefault(tuple(counts.values()), []).append(name)
    yield f"{len(classes)}, with pictures to train on, for validation and to test on:"
    ordered = sorted(alike.items())
    for sizes, names in ordered[:LINES]:
        numbers = " + ".join(f"{count:,}" for count in sizes)
        yield _shortened(names, f"  {numbers}: ")
    if rest := [len(names) for _, names in ordered[LINES:]]:
        yield f"  and {sum(rest)} larger classes, up to {ordered[-1][0][0]:,} to train on"


def _found(found: dict[str, Any] | None) -> str:
    if not found or not found["kinds"]:
        return ""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in found["kinds"].items())
    least, most, *usual = (f"{width}x{height}" for width, height in found["sizes"])
    often = "".join(f", most often {size}" for size in usual)
    sizes = f"all {least}" if least == most else f"{least} to {most}{often}"
    return f"; files: {kinds}; {sizes}"


def _left_out(found: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    files = list((found or {}).get("left_out", {}).items())
    for number, (path, why) in enumerate(files[:LINES]):
        name = "" if number else "left out"
        yield name, f"{'/'.join(path.split('/')[-3:])}: {why}"[: WIDTH - 13]
    if len(files) > LINES:
        yield "", f"and {len(files) - LINES} more files, see summary in results.json"


def _counted(classes: dict[str, int]) -> str:
    return _shortened([f"{name} ({count})" for name, count in classes.items()], "to fill a batch: ")


def _shortened(names: Sequence[str], before: str) -> str:
    """Return names on one line; of too many the first."""
    text, kept = before + ", ".join(names), len(names)
    while len(text) > WIDTH - 13 and kept > 1:
        kept -= 1
        text = f"{before}{', '.join(names[:kept])} and {len(names) - kept} more"
    return text
