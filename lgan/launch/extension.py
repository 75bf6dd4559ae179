"""The config of a run that goes on from a finished one with further tasks, as `lgan-extend` asks.

It is an ordinary run's, with a section `extends`; training adopts the parent's borders
(`lgan.run.adoption`) before the first new task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from lgan.arguments import Count, Text, plain, settings_of
from lgan.data.image_folder import class_folders, readable
from lgan.data.tasks import TaskSequence, check_entries, places_of
from lgan.errors import ConfigError
from lgan.launch.compose import compose_run
from lgan.run.adoption import Parent
from lgan.run.folder import RunFolder
from lgan.run.identity import register_resolvers
from lgan.run.record import FILE_NAME, RunRecord

IMAGE_FOLDER = "lgan.data.image_folder.image_folder"
OWN = ("run", "num_tasks", "folders", "data", "copy")
"""Keys of conf/extend.yaml that say what is new; the others stand in place of the parent's."""


@dataclass(frozen=True)
class Wish:
    """What the keys `OWN` of conf/extend.yaml say, but `data`."""

    run: Text
    num_tasks: Count | None
    folders: list[dict[str, Any]]
    copy: bool


def extension_of(config: DictConfig) -> DictConfig:
    """Return the whole config of the run that conf/extend.yaml, composed, asks for.

    That of an extended run which was stopped if nothing new is asked: its parent may be gone.
    """
    register_resolvers()
    wish, classes = Wish(**settings_of(Wish, config)), config.data
    asked = wish.num_tasks is not None or wish.folders or classes.root is not None
    if not asked and (stopped := _stopped(RunFolder(wish.run))) is not None:
        stopped.trust = config.trust
        return stopped
    parent = Parent(wish.run)
    if not asked:
        raise ConfigError(
            f"{parent} has learnt {', '.join(parent.record.task_names)}: say what comes next, by "
            "num_tasks=... (of a data set cut short), folders=[...] (of a translation) or "
            "data.root=DIR (of data=image_folder)."
        )
    whole = plain(parent.config)
    places = {whole["run_dir"]: "${run_dir}", whole["run_name"]: "${run_name}",
              whole["paths"]["cache"]: "${paths.cache}"}  # fmt: skip
    content = {k: part if k == "data" else _moved(part, places) for k, part in whole.items()}
    own = cast(dict[str, Any], OmegaConf.to_container(config, resolve=False))
    content["callbacks"] |= own.pop("callbacks")
    content |= {k: v for k, v in own.items() if k not in OWN and v is not None}
    for key in ("precision", "compile"):
        if (now := content["trainer"].get(key)) != (then := whole["trainer"].get(key)):
            raise ConfigError(
                f"trainer.{key}={now} is not how {parent} was trained; add trainer.{key}={then}."
            )
    content["method"].pop("init_from", None)  # only the first task begins with it
    data = content["data"]
    if wish.folders:
        _add_folders(data, parent, wish.folders)
    if classes.root is not None:
        _add_classes(data, parent, classes)
    elif classes.classes_per_task is not None or classes.class_order != "natural":
        raise ConfigError(
            "data.classes_per_task and data.class_order cut the classes of data.root=DIR, which is "
            "not given; the tasks of a data set that was cut short are its own."
        )
    if wish.num_tasks is not None:
        data["num_tasks"] = wish.num_tasks
        if wish.num_tasks <= parent.tasks:
            raise ConfigError(
                f"num_tasks={wish.num_tasks} must be more than the {parent.tasks} tasks that "
                f"{parent} has learnt already."
            )
    content["extends"] = {"run": wish.run, **parent.told, "copy": wish.copy}
    return OmegaConf.create(content)


def compose_extension(overrides: Sequence[str]) -> DictConfig:
    """Return the whole config of the run that `lgan-extend` would make of overrides."""
    return compose_run(overrides, "extend", extension_of)


def _stopped(folder: RunFolder) -> DictConfig | None:
    """Return the config of a run that extends another one and was stopped; None of others."""
    if not folder.config.exists() or not (folder.path / FILE_NAME).exists():
        return None
    config = folder.load_config()
    return config if config.get("extends") and not RunRecord.load(folder.path).complete else None


def _add_folders(data: dict[str, Any], parent: Parent, folders: list[dict[str, Any]]) -> None:
    splits = data["splits"]
    if "folders" not in splits:
        raise _other_data("folders=[...]", "paired_folders or unpaired_folders", parent)
    check_entries(folders, "folders")
    learnt = parent.record.task_names
    for number, entry in enumerate(folders):
        if entry["name"] in learnt:
            raise ConfigError(
                f"folders[{number}].name={entry['name']} is a task of {parent} already, beside "
                f"{', '.join(learnt)}: give the new one another name."
            )
    old = {entry["name"]: entry for entry in splits["folders"]}
    added = [entry | {"root": _absolute(entry)} for entry in folders]
    splits |= {"folders": [*(old[name] for name in learnt), *added], "tasks": None}
    data["num_tasks"] = None


def _add_classes(data: dict[str, Any], parent: Parent, wish: DictConfig) -> None:
    """Let tasks of new classes come after the parent's; those that it does not use stay last."""
    splits, known = data["splits"], parent.last["class_names"]
    if splits["_target_"] != IMAGE_FOLDER:
        raise _other_data(f"data.root={wish.root}", "data=image_folder", parent)
    root = Path(wish.root).expanduser().absolute()
    names = [name for name in class_folders(root / "train") if readable(name) not in known]
    if not names:
        raise ConfigError(
            f"data.root={wish.root} has no class but those that {parent} knows already: "
            f"{', '.join(known)}."
        )
    old = [list(task["classes"]) for task in parent.record.tasks]
    cut = plain(wish.classes_per_task) or len(old[-1]), plain(wish.class_order)
    new = TaskSequence(len(names), *cut, data["class_order_seed"])
    order = [c for task in old for c in task]
    order += [len(known) + c for task in new for c in task.classes]
    sizes = [*map(len, old), *(len(task.classes) for task in new)]
    unused = [c for c in range(len(known)) if c not in order]
    data |= {"class_order": [*order, *unused], "classes_per_task": sizes, "num_tasks": len(sizes)}
    splits.setdefault("further", []).append({"root": str(root), "classes": names})
    if splits.get("classes") is None:
        splits["classes"] = known


def _other_data(key: str, needed: str, parent: Parent) -> ConfigError:
    return ConfigError(
        f"{key} needs a run on {needed}; {parent} has data={parent.config.data.name}, of which "
        "num_tasks=... takes further tasks, if it has any."
    )


def _absolute(entry: dict[str, Any]) -> str | list[str]:
    """Return the folder of an entry; one that is found from here does not depend on data.root."""
    found = [place for place in places_of(entry, Path()) if place.is_dir()]
    return str(found[0].absolute()) if found else entry.get("root", entry["name"])


def _moved(value: Any, places: dict[str, str]) -> Any:  # noqa: ANN401
    """Return a part of the parent's config with references in place of what begins with a key."""
    if isinstance(value, dict):
        return {key: _moved(each, places) for key, each in value.items()}
    if isinstance(value, list):
        return [_moved(each, places) for each in value]
    found = [p for p in places if isinstance(value, str) and f"{value}/".startswith(f"{p}/")]
    return places[found[0]] + value.removeprefix(found[0]) if found else value
