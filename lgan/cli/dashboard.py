"""`lgan-dashboard`: a W&B project's runs to a saved workspace and a report that compare methods."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from lgan.arguments import Text
from lgan.cli.common import script
from lgan.errors import ConfigError, check_known, did_you_mean
from lgan.run.identity import flatten

if TYPE_CHECKING:
    import wandb

    from lgan.reports.dashboard import Logged

T = TypeVar("T")
_LONGEST = 200  # characters of W&B's own words that are passed on


@script("dashboard")
def main(entity: Text, project: Text, title: Text, by: Text | None, sweep: Text | None) -> None:
    """Run the console script `lgan-dashboard`."""
    if find_spec("wandb_workspaces") is None:
        raise ConfigError("lgan-dashboard needs wandb-workspaces: pip install 'lgan[wandb]'.")
    from lgan.reports.dashboard import Dashboard

    api = logged_in()
    check_project(api, entity, project)
    made: list[tuple[str, Any]] = []  # all of them, before the first is saved
    for found in logged_in_project(api, entity, project, by, sweep):
        shown = Dashboard(entity, project, f"{title}: {found.data}", found, by, sweep)
        for kind, make, find in (("workspace", shown.workspace, _find_workspace),
                                 ("report", shown.report, _find_report)):  # fmt: skip
            view = with_wandb(f"title={title} makes no {kind}", make)
            with_wandb(f"the {kind}s of {project} cannot be read", find, api, view)
            made.append((kind, view))
    for kind, view in made:
        with_wandb(f"a {kind} cannot be saved", view.save)
        print(f"{kind}: {view.url}", flush=True)


def with_wandb(fails: str, call: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401
    """Return what W&B's client returns, or raise one sentence, which begins with `fails`."""
    try:
        return call(*arguments)
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST].rstrip(".")
        raise ConfigError(f"{fails}: {said}.") from error


def logged_in() -> wandb.Api:
    """Return W&B's public interface, for the user who is logged in."""
    import wandb

    from lgan.run.wandb_logger import reachable, server_address

    server = server_address()
    if not reachable(server):
        raise ConfigError(f"{server} cannot be reached; WANDB_BASE_URL names another W&B server.")
    return with_wandb(f"`wandb login` first, {server} does not know who you are", wandb.Api)


def check_project(api: wandb.Api, entity: str, project: str) -> None:
    """Refuse an entity or project that is not there: W&B would make a project of any name."""
    names: list[str] = []
    with suppress(ValueError):  # what W&B says of an entity that it does not know
        names = [each.name for each in api.projects(entity)]
    if not names:
        raise ConfigError(
            f"entity={entity} has no project in W&B that you may see; it is the user or team in "
            "the address of a project, ENTITY/PROJECT."
        )
    check_known("project", project, sorted(names))


def logged_in_project(
    api: wandb.Api, entity: str, project: str, by: str | None, sweep: str | None
) -> list[Logged]:
    """Return what lgan's runs in a project have logged, for each data set."""
    from lgan.reports.dashboard import logged

    path, filters = f"{entity}/{project}", {"group": sweep} if sweep else {}

    listed = with_wandb(f"the runs of {path} cannot be read",
                        lambda: list(api.runs(path, filters=filters, lazy=False)))  # fmt: skip
    runs = [(run.config, run.summary_metrics) for run in listed]
    found = logged(runs)
    if not found:
        raise ConfigError(
            f"project={project} has no run{f' of sweep={sweep}' if sweep else ''} that lgan has "
            "logged to it: logger=wandb logger.offline=false, or `wandb sync` of what was logged "
            "offline."
        )
    keys = {key for config, _ in runs for key, _ in flatten(config)}
    if by and by not in keys:
        raise ConfigError(f"by={by} is no key of the runs' configs{did_you_mean(by, keys)}.")
    return found


def _find_workspace(api: wandb.Api, made: Any) -> None:  # noqa: ANN401
    """Give a workspace the address that follows from its name, and the id that is there."""
    name = hashlib.sha256(made.name.encode()).hexdigest()[:11]
    made._internal_name = f"nw-{name}-v"
    with suppress(ValueError):  # there is none yet
        address = f"https://wandb.ai/{made.entity}/{made.project}?nw={name}"
        made._internal_id = type(made).from_url(address)._internal_id


def _find_report(api: wandb.Api, made: Any) -> None:  # noqa: ANN401
    for saved in api.reports(f"{made.entity}/{made.project}"):
        if saved.display_name == made.title:
            made.id = saved.id


if __name__ == "__main__":
    main()
