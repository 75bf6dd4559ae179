"""The workspace and report that `lgan-dashboard` makes, against a stand-in of W&B's server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
from wandb_server import WandbServer, wandb_server

from lgan.cli.dashboard import main
from lgan.errors import ConfigError

pytestmark = [  # not imported for that, which takes seconds
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("wandb_workspaces") is None, reason="needs wandb-workspaces"),
]
KEY = f"WANDB_API_KEY={'a' * 40}"
COMMANDS = [
    [KEY],
    [],  # once more: the same two are made anew
    ["sweep=a", "title=Networks", "by=network.name"],
    ["entity=them"],
    ["project=lgam"],
    ["sweep=none"],
    ["by=network.nam"],
    [f"title={'T' * 130}"],
    ["WANDB_BASE_URL=http://127.0.0.1:1"],
]
DRIVER = """
import json, os, sys
from hydra.core.global_hydra import GlobalHydra
from lgan.cli.dashboard import main
for command in json.loads(sys.argv[1]):
    if command and command[0].startswith("WANDB_"):
        os.environ.update([command.pop(0).split("=", 1)])
    sys.argv = ["lgan-dashboard", "entity=us", "project=lgan", *command]
    try:
        main()
    except SystemExit as stop:
        print("exit", stop.code, flush=True)
    GlobalHydra.instance().clear()
    print("----", flush=True)
    print("----", file=sys.stderr, flush=True)
"""


def run_of(data: str, method: str, group: str, tasks: int) -> dict:
    """Return a run as W&B lists it."""
    titles = {
        "border/accuracy_generated": ["accuracy_generated, all classes", "higher"],
        "border/forgetting": ["forgetting (accuracy_generated)", "lower"],
        "border/average_accuracy_generated": ["A_t", "higher"],
        "border/diversity": ["diversity (1 = real)", None],
        "border/intransigence_mean_accuracy": ["intransigence", "lower"],
    }
    config = {"data": {"name": data}, "network": {"name": "digits"}, "method": {"name": method},
              "columns": json.dumps(titles)}  # fmt: skip
    summary = dict.fromkeys([key for key in titles if "intransigence" not in key], 0.5)
    summary |= {f"task{task}/accuracy_generated": 0.5 for task in range(tasks)}
    summary |= {key: {"_type": "images/separated"}
                for key in ("samples", "matrix/accuracy_generated")}  # fmt: skip
    summary |= {"results": {"_type": "table-file"}, "loss/generator": 1.0}
    return {"id": "1", "name": f"{data}-{method}", "displayName": method, "state": "finished",
            "group": group, "jobType": method, "tags": [], "systemMetrics": "{}", "user": {},
            "config": json.dumps({key: {"value": value} for key, value in config.items()}),
            "summaryMetrics": json.dumps(summary)}  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> tuple[WandbServer, list[str], list[str]]:
    """Return the server, and what was printed by each command."""
    pytest.importorskip("wandb_workspaces")
    with wandb_server() as server:
        server.known = [run_of("digits", "sft", "a", 3), run_of("digits", "ewc_gan", "a", 3),
                        run_of("mnist", "sft", "b", 62)]  # fmt: skip
        settings = {"WANDB_BASE_URL": server.address, "NETRC": os.devnull}
        hidden = ("WANDB_SERVICE", "WANDB_API_KEY", "WANDB_MODE")
        outside = {key: value for key, value in os.environ.items() if key not in hidden}
        command = [sys.executable, "-c", DRIVER, json.dumps([[], *COMMANDS])]
        done = subprocess.run(command, env=outside | settings, capture_output=True, text=True,
                              timeout=300, stdin=subprocess.DEVNULL,
                              cwd=tmp_path_factory.mktemp("dashboard"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    nobody, *printed = done.stdout.split("----\n")
    assert nobody == "exit 1\n"
    said, *errors = done.stderr.split("----\n")
    assert f"error: `wandb login` first, {server.address} does not know who you are" in said
    return server, printed, errors


def test_each_data_set_has_a_workspace_and_a_report_that_are_made_anew(told) -> None:
    server, printed, errors = told
    assert [line.partition(":")[0] for line in printed[0].splitlines()] == [
        "workspace", "report", "workspace", "report"]  # fmt: skip
    assert printed[0] == printed[1], "the same addresses"
    names = {(view["type"], view["displayName"]) for view in server.views}
    assert names == {(kind, title) for kind in ("project-view", "runs") for title in (
        "Methods compared: digits", "Methods compared: mnist", "Networks: digits")}  # fmt: skip
    assert len(server.views) == 6 and server.saves == 4 + 4 + 2, errors


@pytest.mark.parametrize(
    "place, said",
    [(3, "entity=them has no project in W&B that you may see"),
     (4, "project=lgam is none of lgan (did you mean lgan?)."),
     (5, "project=lgan has no run of sweep=none that lgan has logged to it"),
     (6, "by=network.nam is no key of the runs' configs (did you mean network.name?)."),
     (7, "makes no report: ValidationError: 1 validation error for Report title String should"),
     (8, "http://127.0.0.1:1 cannot be reached; WANDB_BASE_URL names another W&B server.")],
)  # fmt: skip
def test_mistakes_are_said_before_anything_is_made(told, place, said) -> None:
    _, printed, errors = told
    assert printed[place] == "exit 1\n"
    (line,) = [each for each in errors[place].splitlines() if each.startswith("error: ")]
    assert said in line


def test_without_the_extra_a_sentence_says_so(monkeypatch) -> None:
    monkeypatch.setattr("lgan.cli.dashboard.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs wandb-workspaces: pip install 'lgan.wandb.'"):
        main.__wrapped__("us", "lgan", "title", None, None)


def spec_of(server: WandbServer, kind: str, title: str) -> dict:
    (found,) = [v for v in server.views if (v["type"], v["displayName"]) == (kind, title)]
    return json.loads(found["spec"])


SECTIONS = {
    "Methods compared": ("Bar Chart", ["border/accuracy_generated", "border/forgetting",
                                       "border/average_accuracy_generated"]),
    "From task to task": ("Run History Line Plot",
                          ["border/accuracy_generated", "border/forgetting",
                           "border/average_accuracy_generated", "border/diversity"]),
    "Forgetting curves: accuracy_generated": (
        "Run History Line Plot", [f"task{task}/accuracy_generated" for task in range(3)]),
    "Result matrices": ("Media Browser", ["matrix/accuracy_generated"]),
    "Pictures": ("Media Browser", ["samples"]),
    "All results": ("Weave", ["results"]),
}  # fmt: skip


def filters_of(runs: dict) -> list[tuple]:
    return [(f["key"]["section"], f["key"]["name"], f["op"], f["value"])
            for f in runs["filters"]["filters"]]  # fmt: skip


def report_runs(server: WandbServer, title: str) -> dict:
    blocks = spec_of(server, "runs", title)["blocks"]
    return next(b["metadata"]["runSets"][0] for b in blocks if b["type"] == "panel-grid")


def shown(panel: dict) -> str:
    """Return the one key that a panel shows."""
    config = panel["config"]
    if panel["viewType"] == "Weave":
        return config["panel2Config"]["exp"]["fromOp"]["inputs"]["key"]["val"]
    (key,) = config.get("metrics") or config["mediaKeys"]
    return key


def assert_sections(found: dict[str, list[dict]]) -> None:
    assert {title: ({panel["viewType"] for panel in panels}, list(map(shown, panels)))
            for title, panels in found.items()
            } == {title: ({kind}, keys) for title, (kind, keys) in SECTIONS.items()}  # fmt: skip
    for panel in (panel for panels in found.values() for panel in panels):
        config = panel["config"]
        if "groupBy" in config:
            told = (config["groupBy"], config["groupAgg"], config["groupArea"])
            assert told == ("jobType", "mean", "stddev")
        if panel["viewType"] == "Run History Line Plot":
            assert config["xAxis"] == "task"


def test_the_workspace_compares_methods_over_seeds(told) -> None:
    section = spec_of(told[0], "project-view", "Methods compared: digits")["section"]
    assert_sections({s["name"]: s["panels"] for s in section["panelBankConfig"]["sections"]})
    (runs,) = section["runSets"]
    assert [key["name"] for key in runs["grouping"]] == ["jobType"]
    (order,) = runs["sort"]["keys"]
    assert order["key"] == {"section": "summary", "name": "border/accuracy_generated"}
    assert order["ascending"] is False
    pinned = [key for key, is_pinned in runs["runFeed"]["columnPinned"].items() if is_pinned]
    assert pinned == ["run:displayName", "summary:border/accuracy_generated",
                      "summary:border/forgetting", "summary:border/average_accuracy_generated",
                      ]  # fmt: skip
    assert filters_of(runs) == [("config", "data.value.name", "IN", ["digits"])]


def test_the_report_shows_the_same_with_the_table_of_runs(told) -> None:
    blocks = spec_of(told[0], "runs", "Methods compared: digits")["blocks"]
    titles = [block["children"][0]["text"] for block in blocks if block["type"] == "heading"]
    grids = [block["metadata"] for block in blocks if block["type"] == "panel-grid"]
    panels = [grid["panelBankSectionConfig"]["panels"] for grid in grids]
    assert_sections(dict(zip(titles, panels, strict=True)))
    assert [grid["hideRunSets"] for grid in grids] == [False, *[True] * (len(grids) - 1)]
    (runs,) = grids[0]["runSets"]
    assert [key["name"] for key in runs["grouping"]] == ["jobType"]
    for grid in panels:
        places = [(p["layout"]["x"], p["layout"]["y"]) for p in grid]
        assert len(set(places)) == len(places) and all(x < 24 for x, _ in places)


def test_of_many_tasks_some_have_curves_and_one_sweep_is_told_from_others(told) -> None:
    server = told[0]
    section = spec_of(server, "project-view", "Methods compared: mnist")["section"]
    (curves,) = [s for s in section["panelBankConfig"]["sections"] if "curves" in s["name"]]
    assert (
        len(curves["panels"]) == 21 and shown(curves["panels"][-1]) == "task60/accuracy_generated"
    )
    section = spec_of(server, "project-view", "Networks: digits")["section"]
    (runs,) = section["runSets"]
    assert filters_of(runs)[1:] == [("run", "group", "IN", ["a"])]
    assert filters_of(runs) == filters_of(report_runs(server, "Networks: digits"))
    assert [key["name"] for key in runs["grouping"]] == ["network.value.name"]
    bar = section["panelBankConfig"]["sections"][0]["panels"][0]
    assert bar["config"]["groupBy"] == "network.value.name"
