"""The soak: its comparison and its faults, and a few kills of real processes."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import warm
from torch import nn

from benchmarks import faults, soak, soak_campaign
from benchmarks.soak_campaign import Campaign, Outcome, pace_of, read_trace
from benchmarks.soak_children import Child
from benchmarks.soak_compare import differences
from benchmarks.soak_configurations import CONFIGURATIONS, Configuration
from benchmarks.soak_plans import PLANS, TITLES, Damage, Injection, Pace, Plan
from lgan.errors import ConfigError
from lgan.files import load_tensors, save_tensors
from lgan.training.train import train

pytestmark = pytest.mark.slow

# ------------------------------------------------------------------------------- the comparison


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Return two folders that hold the same run, but for its times."""
    for name, seconds in (("reference", 1.5), ("run", 2.5)):
        folder = tmp_path / name
        (folder / "samples").mkdir(parents=True)
        weights = torch.tensor([0.0, float("nan"), 1.0])
        save_tensors(folder / "checkpoints/task0.pt", {"state": {"w": weights}, "task": 0})
        save_tensors(folder / "samples/learnt0.pt", {"images": torch.ones(2)})
        rows = [{"task": t, "train_seconds": seconds, "metrics": [{"fid": 1.0}]} for t in range(2)]
        (folder / "results.json").write_text(json.dumps({"rows": rows, "status": "complete"}))
        (folder / "metrics.csv").write_text("step,name,value\n1,loss,0.5\n2,loss,nan\n")
    return tmp_path / "reference", tmp_path / "run"


def edit_tensors(path: Path, change) -> None:
    content = load_tensors(path)
    change(content)
    save_tensors(path, content)


def edit_text(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def drop_row(run: Path) -> None:
    content = json.loads((run / "results.json").read_text())
    del content["rows"][1]
    (run / "results.json").write_text(json.dumps(content))


ALTERATIONS = {
    "the sign of a zero": (
        lambda run: edit_tensors(run / "checkpoints/task0.pt", lambda c: c["state"]["w"][0].neg_()),
        "checkpoints/task0.pt: state.w differs",
    ),
    "a lost tensor": (
        lambda run: edit_tensors(run / "checkpoints/task0.pt", lambda c: c["state"].clear()),
        "checkpoints/task0.pt: state.w differs",
    ),
    "a plain number": (
        lambda run: edit_tensors(run / "checkpoints/task0.pt", lambda c: c.update(task=1)),
        "checkpoints/task0.pt: task differs",
    ),
    "a lost file": (
        lambda run: (run / "checkpoints/task0.pt").unlink(),
        "checkpoints/task0.pt is missing",
    ),
    "a picture": (
        lambda run: edit_tensors(run / "samples/learnt0.pt", lambda c: c["images"].add_(1e-6)),
        "samples/learnt0.pt: images differs",
    ),
    "a missing row": (drop_row, "results.json: rows[1] differs"),
    "a metric": (
        lambda run: edit_text(run / "results.json", '"fid": 1.0', '"fid": 1.0000001'),
        "results.json: rows[0].metrics[0].fid differs",
    ),
    "the status": (
        lambda run: edit_text(run / "results.json", "complete", "running"),
        "results.json: status differs",
    ),
    "a step logged twice": (
        lambda run: edit_text(run / "metrics.csv", "1,loss,0.5\n", "1,loss,0.5\n1,loss,0.5\n"),
        "metrics.csv: step 1 of loss was logged twice",
    ),
    "a logged value": (
        lambda run: edit_text(run / "metrics.csv", "0.5", "0.25"),
        "metrics.csv: step 1 of loss differs",
    ),
    "half a file": (
        lambda run: (run / "checkpoints/last.ckpt.tmp").touch(),
        "checkpoints/last.ckpt.tmp was left behind",
    ),
}


def test_equal_runs_differ_in_times_alone(runs) -> None:
    assert (runs[0] / "results.json").read_text() != (runs[1] / "results.json").read_text()
    assert differences(*runs) == []


@pytest.mark.parametrize("what", ALTERATIONS)
def test_comparison_notices(runs, what) -> None:
    alter, sentence = ALTERATIONS[what]
    alter(runs[1])
    assert differences(*runs) == [sentence]


# ------------------------------------------------------------------------------------ the faults


def module_at(task: int, step: int) -> SimpleNamespace:
    return SimpleNamespace(task_index=task, step=step, players={})


def test_a_fault_happens_once_and_not_too_early(tmp_path, monkeypatch) -> None:
    happened = []
    monkeypatch.setitem(faults.ACTIONS, "kill", happened.append)
    for _start in range(2):  # the second start of the process finds the marker
        fault = faults.FaultAt(1, 3, "kill", tmp_path / "marker")
        for place in ((0, 9), (1, 2), (1, 3), (1, 4), (2, 1)):
            fault.on_train_batch_end(SimpleNamespace(), module_at(*place))
            assert bool(happened) == (place >= (1, 3) or _start == 1)
    assert len(happened) == 1 and (tmp_path / "marker.0").exists()


def test_faults_keep_to_their_trigger_and_rank(tmp_path, monkeypatch) -> None:
    happened = []
    monkeypatch.setitem(faults.ACTIONS, "kill", happened.append)
    before = faults.FaultAt(0, 3, "kill", tmp_path / "a", trigger="before_step")
    before.on_train_batch_end(SimpleNamespace(), module_at(0, 5))
    before.on_train_batch_start(SimpleNamespace(), module_at(0, 1))
    assert not happened
    before.on_train_batch_start(SimpleNamespace(), module_at(0, 2))
    assert happened == [before]
    other = faults.FaultAt(0, 1, "kill", tmp_path / "b", rank=1)
    other.on_train_batch_end(SimpleNamespace(), module_at(0, 1))
    assert happened == [before] and (tmp_path / "b.0").exists()


def test_poison_reaches_a_weight_that_is_trained(tmp_path) -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[0].requires_grad_(False)
    module = SimpleNamespace(task_index=0, step=1, players={"generator": network})
    faults.FaultAt(0, 1, "poison", tmp_path / "m").on_train_batch_end(SimpleNamespace(), module)
    assert [torch.isnan(p).sum().item() for p in network.parameters()] == [0, 0, 1, 0]


@pytest.mark.parametrize("own", [{"action": "smile"}, {"action": "kill", "trigger": "never"}])
def test_unknown_faults_are_refused(tmp_path, own) -> None:
    with pytest.raises(ConfigError, match="is unknown; actions: mark, kill"):
        faults.FaultAt(0, 1, marker=tmp_path / "m", **own)


def test_damage_changes_one_bit_or_the_length(tmp_path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    assert Damage("file", "flip").do(tmp_path)
    assert sum(byte.bit_count() for byte in path.read_bytes()) == 1
    assert Damage("file", "truncate").do(tmp_path) and path.stat().st_size == 50
    assert not Damage("other", "flip").do(tmp_path)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_plans_stay_within_the_run_and_go_forward(name) -> None:
    own = CONFIGURATIONS[name]
    assert set(own.faults) <= set(PLANS) == set(TITLES)
    for fault, planner in PLANS.items():
        plan = planner(own, Pace(0.01, 0.5), random.Random(0), 10)
        places = [(i.task, i.step) for i in plan.injections]
        assert places == sorted(places)
        tasks = 3 if fault == "collecting" else own.tasks
        assert all(task < tasks and step <= own.steps for task, step in places)
        assert plan.injections or plan.starts > 1, fault
    kills = PLANS["kill"](own, Pace(0.01, 0.5), random.Random(0), 10).injections
    assert len(kills) == 10 and {i.step for i in kills} & {own.steps}
    assert all(0 <= i.delay <= 0.5 for i in kills)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configurations_are_what_lgan_train_takes(configure, name) -> None:
    own = CONFIGURATIONS[name]
    config = configure(*own.command())
    assert name.startswith(config.method.name)
    assert (config.training.steps, config.data.num_tasks) == (own.steps, own.tasks)
    assert (config.trainer.devices == 2) == (own.ranks == 2)


def test_faults_are_no_part_of_what_a_run_is(configure, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.soak_campaign.Child", lambda arguments, *_: arguments)
    own = CONFIGURATIONS["mergan_jtr"]
    plan = PLANS["nan"](own, Pace(0.01, 0.5), random.Random(0), 10)
    campaign = Campaign(own, tmp_path, tmp_path)
    arguments = campaign.start(plan, tmp_path, 0, plan.injections[0])
    added = [a for a in arguments if a not in own.command() and "run_dir" not in a]
    faulty = configure(*own.command(), *added)
    assert {"watch_trace", "watch_poison", "watch_fault"} <= set(faulty.callbacks)
    assert faulty.run_name == configure(*own.command(), *plan.overrides).run_name


# ------------------------------------------------------------------------------- the judgement


class Scripted(Campaign):
    """A campaign whose processes are lines of a shell."""

    scripts: tuple[str, ...] = ()

    def start(self, plan, folder, number, injection) -> Child:
        (folder / "run").mkdir(exist_ok=True)
        script = f"cd {folder}; {self.scripts[number]}"
        return Child([script], folder / "output.log", ("sh", "-c"))


DIES = "kill -9 $$"


def scripted(tmp_path: Path, injection: Injection, *scripts: str) -> Outcome:
    own = Configuration("x", (), tasks=1, steps=10, every=4)
    campaign = Scripted(own, tmp_path, tmp_path)
    campaign.scripts = scripts
    outcome = Outcome("kill", "x")
    from benchmarks.soak_campaign import NotRecoveredError, _Chain

    folder = campaign._fresh("run")
    try:
        _Chain(campaign, Plan([injection]), folder, outcome).run()
    except NotRecoveredError as error:
        outcome.problems.append(str(error))
    return outcome


def steps(number: int, first: int, last: int) -> str:
    return f"for s in $(seq {first} {last}); do echo 0 $s $s.5 >> trace.{number}; done"


def test_a_recovered_fault_is_counted_with_the_steps_it_cost(tmp_path) -> None:
    own = Injection(0, 7, "kill", lost=4)
    outcome = scripted(tmp_path, own, f"{steps(0, 1, 7)}; {DIES}", steps(1, 5, 10))
    assert (outcome.injected, outcome.recovered, outcome.lost) == (1, 1, 3)
    assert not outcome.problems


@pytest.mark.parametrize(
    ("injection", "scripts", "problem"),
    [
        (Injection(0, 7, "kill", lost=4), (f"{steps(0, 1, 7)}; {DIES}", steps(1, 1, 10)),
         "7 steps were taken again"),
        (Injection(0, 7, "kill"), ("exit 3",), "exit code 3"),
        (Injection(0, 7, "kill"), (DIES, "echo lost it; exit 1"), "lost it"),
        (Injection(0, 7, "full", codes=(1,), says="could not write"), ("echo huh; exit 1",),
         "huh"),
        (Injection(0, 7, "kill", damage=Damage("f", "flip")),
         (f"echo 123 > run/f; {DIES}", "echo all is well"), "passed over silently"),
        (Injection(0, 7, "kill", damage=Damage("f", "flip")), (DIES,), "is absent"),
    ],
)  # fmt: skip
def test_what_is_no_recovery_is_said(tmp_path, injection, scripts, problem) -> None:
    outcome = scripted(tmp_path, injection, *scripts)
    assert [problem in text for text in outcome.problems] == [True]
    assert not outcome.passed


def test_a_fault_that_never_happens_is_a_failure() -> None:
    outcome = Outcome("kill", "x", injected=0, recovered=0, equal=True)
    assert not outcome.passed
    text = soak.render([outcome, Outcome("twice", "x", 1, 1, 0, True)], 2)
    assert "FAILED" in text and "1 of 2 rows failed" in text and "| ok |" in text


def test_children_are_found_in_other_sessions_and_killed(tmp_path) -> None:
    child = Child(["setsid sleep 60 & echo there; wait"], tmp_path / "log", ("sh", "-c"))
    assert child.wait_for(lambda: len(child.processes()) == 2)
    child.kill_all()
    assert child.processes() == [] and child.process.returncode == -signal.SIGKILL
    assert child.output() == "there\n"


# ------------------------------------------------------------------------------ real processes


@pytest.mark.parametrize(
    ("name", "injection"),
    [
        ("mergan_jtr", Injection(1, 6, "kill")),
        ("dgm_w", Injection(1, 13, "evaluation", "fit_end")),
        ("piggyback_gan-cyclegan", Injection(1, 9, "cut")),
    ],
)
def test_a_killed_process_goes_on_to_the_same_bits(
    configure, cache, tmp_path, monkeypatch, name, injection
):
    """Killed in a process of its own; the undisturbed run, and what goes on, in this one."""
    own = CONFIGURATIONS[name]
    if name != "mergan_jtr":  # whose process is started as a soak starts it
        program = (warm.python(), "-m", "lgan.cli.train")
        monkeypatch.setattr(soak_campaign, "TRAIN", program)
    if "cyclegan" in name:
        own = replace(own, overrides=(*own.overrides, "data.splits.size=32"))
    reference = train(configure(*own.command(), f"run_dir={tmp_path}/reference"))
    campaign = Campaign(own, tmp_path, cache)
    child = campaign.start(Plan(), campaign._fresh("broken"), 0, injection)
    died = -signal.SIGXFSZ if injection.action == "cut" else -signal.SIGKILL
    assert child.ended() == died, child.output()
    broken = tmp_path / "broken"
    trace = read_trace(broken / "trace.0")
    assert trace[-1][:2] == (injection.task, injection.step) and pace_of(trace).step > 0
    assert not (broken / "run/checkpoints/task1.pt").exists()
    before = shutil.copytree(broken / "run", tmp_path / "before")
    assert differences(reference, train(configure(*own.command(), f"run_dir={broken}/run"))) == []
    assert json.loads((before / "results.json").read_text())["status"] == "running"


def test_a_disk_that_is_full_in_the_middle_of_a_border_is_one_sentence(tmp_path) -> None:
    """Tried in a process of its own, as the limit on files holds for all of a process."""
    program = (
        "import pathlib, resource, torch\n"
        "from lgan.errors import RunError\n"
        "from lgan.files import save_tensors\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))\n"
        "path = pathlib.Path('task0.pt')\n"
        "for size in (9_000, 90_000):\n"
        "    try:\n"
        "        save_tensors(path, {'w': [torch.zeros(size) for _ in range(3)]})\n"
        "    except RunError as error:\n"
        "        print(size, 'could not write task0.pt' in str(error), *path.parent.iterdir())\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.stdout == "9000 True\n90000 True\n", run.stderr


def test_the_default_campaign_reaches_every_configuration(tmp_path) -> None:
    rows = soak.rows_of(soak.parse([f"--output={tmp_path}"]))
    assert {campaign.configuration.name for campaign, _ in rows} == set(CONFIGURATIONS)
    assert {fault for _, fault in rows} == set(PLANS)
    quick = soak.rows_of(soak.parse(["--quick", "--seed=3", f"--output={tmp_path}"]))
    assert len(quick) < len(rows) and {campaign.points for campaign, _ in quick} == {4}
    own = soak.parse(["--families=sft", "--faults=kill,full", f"--output={tmp_path}"])
    assert [fault for _, fault in soak.rows_of(own)] == ["kill", "full"]
    with pytest.raises(SystemExit):
        soak.parse(["--families=sft,none"])


def test_tables_of_a_soak_are_kept_while_it_goes_on(tmp_path) -> None:
    options = soak.parse(["--families=sft", "--faults=kill,full", f"--output={tmp_path}"])
    soak.save([Outcome("kill", "sft", 10, 10, 4, True)], options, 1.0)
    assert "1 rows are missing" in (tmp_path / "soak.md").read_text()
    [outcome] = json.loads((tmp_path / "soak.json").read_text())["outcomes"]
    assert outcome["passed"] and outcome["injected"] == 10
