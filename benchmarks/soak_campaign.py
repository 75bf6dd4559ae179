"""One configuration of a soak: its undisturbed run, and the chains of faults that end alike."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from benchmarks.soak_children import EXTEND, TRAIN, Child
from benchmarks.soak_compare import differences
from benchmarks.soak_configurations import Configuration
from benchmarks.soak_plans import PLANS, Injection, Pace, Plan
from lgan.reports.paper import quote


class NotRecoveredError(Exception):
    """A run did not get over a fault; the text says how."""


@dataclass
class Outcome:
    """What one fault did to one configuration.

    Args:
        fault: key of `PLANS`.
        configuration: its name.
        injected: how many times it happened.
        recovered: how many times the next start went on.
        lost: steps that were taken again at most, after one fault.
        equal: whether the end was that of the undisturbed run; None: there was no end.
        problems: what went wrong, a sentence each.
    """

    fault: str
    configuration: str
    injected: int = 0
    recovered: int = 0
    lost: int = 0
    equal: bool | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether the fault happened, and was got over each time, with the same end."""
        return 0 < self.injected == self.recovered and bool(self.equal) and not self.problems

    def plain(self) -> dict[str, Any]:
        """Return plain data for a JSON file."""
        return asdict(self) | {"passed": self.passed}


@dataclass
class Campaign:
    """All faults of one configuration.

    Args:
        configuration: what is run.
        folder: where; what an earlier campaign left in it goes.
        cache: shared by all, so that the evaluation classifier is trained once.
        seed: of the random moments.
        points: number of the random moments.
        tick: called whenever a child has ended.
    """

    configuration: Configuration
    folder: Path
    cache: Path
    seed: int = 0
    points: int = 10
    tick: Callable[[], None] = lambda: None
    _references: dict[str, tuple[Path, Pace]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, fault: str) -> Outcome:
        """Disturb a run by one kind of fault, as often as is planned, and compare its end."""
        outcome = Outcome(fault, self.configuration.name)
        try:
            # Overrides and poison of a plan do not depend on the pace, which is measured with them.
            draft = self._plan(fault, Pace(0, 0))
            reference, pace = self._reference(draft)
            plan = self._plan(fault, pace)
            folder = self._fresh(fault)
            if plan.starts > 1:
                self._start_at_once(plan, folder, outcome)
            else:
                _Chain(self, plan, folder, outcome).run()
            outcome.problems += differences(reference, folder / "run")[:10]
            outcome.equal = not outcome.problems
        except NotRecoveredError as error:
            outcome.problems.append(str(error))
        if not outcome.injected:
            outcome.problems.append("the fault never happened")
        return outcome

    def _plan(self, fault: str, pace: Pace) -> Plan:
        # The points of one fault do not hang on which others were asked for.
        source = Random(f"{self.seed} {self.configuration.name} {fault}")
        return PLANS[fault](self.configuration, pace, source, self.points)

    def _fresh(self, name: str) -> Path:
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def _reference(self, plan: Plan) -> tuple[Path, Pace]:
        """Return an undisturbed run, made once, and its pace; rows that need it wait for it."""
        name = "-".join(["reference", *(o.partition("=")[0] for o in plan.overrides[:1])])
        with self._lock:
            if name not in self._references:
                folder = self._fresh(name)
                child = self.start(plan, folder, 0, None)
                code = child.ended()
                child.kill_all()
                self.tick()
                if code:
                    raise NotRecoveredError(f"undisturbed, it fails: {_complaint(child)}")
                self._references[name] = folder / "run", pace_of(read_trace(folder / "trace.0"))
        return self._references[name]

    def start(self, plan: Plan, folder: Path, number: int, injection: Injection | None) -> Child:
        """Start lgan-train, or lgan-extend, for the nth time, with a fault to come or none."""
        own, program = self.configuration, EXTEND if self.configuration.parent else TRAIN
        asked = [*own.command(), *plan.overrides]
        if own.parent:
            asked = [f"run={quote(str(self._parent()))}", f"num_tasks={own.tasks}"]
        arguments = [
            *asked,
            *self._places(folder / "run"),
            "trust=[benchmarks]",
            *_callback("watch_trace", "Trace", {"path": str(folder / f"trace.{number}")}),
        ]
        # The marker of the poison is the run's: it happens once, however often the run is started.
        for name, fault, marker in (
            ("watch_poison", plan.poison, "poison"),
            ("watch_fault", injection, f"marker.{number}"),
        ):
            if fault:
                settings = fault.overrides() | {"marker": str(folder / marker)}
                arguments += _callback(name, "FaultAt", settings)
        return Child(arguments, folder / "output.log", program)

    def _places(self, run: Path) -> list[str]:
        return [f"run_dir={quote(str(run))}", f"paths.cache={quote(str(self.cache))}"]

    def _parent(self) -> Path:
        """Return the finished run that is extended, which the first start makes."""
        folder, tasks = self.folder / "parent", self.configuration.parent
        if not folder.exists():
            command = [*self.configuration.command(), f"data.num_tasks={tasks}"]
            child = Child([*command, *self._places(folder)], self.folder / "parent.log")
            if child.ended():
                raise NotRecoveredError(f"undisturbed, it fails: {_complaint(child)}")
        return folder

    def _start_at_once(self, plan: Plan, folder: Path, outcome: Outcome) -> None:
        """Start the same run in several processes: all but one must refuse."""
        children = []
        for number in range(plan.starts):
            (folder / str(number)).mkdir()
            own = self.start(plan, folder, number, None)
            children.append(own)
        codes = [child.ended() for child in children]
        for _ in children:
            self.tick()
        outcome.injected = 1
        if sorted(code == 0 for code in codes) != [False] * (plan.starts - 1) + [True]:
            raise NotRecoveredError(f"exit codes {codes}: one process should win, the other refuse")
        # They share a log; what the loser says is in it.
        if "error:" not in children[0].output():
            raise NotRecoveredError("the second process did not say why it left")
        outcome.recovered = 1


class _Chain:
    """Start, fault, start, fault, ... and at last a start that is let alone."""

    def __init__(self, campaign: Campaign, plan: Plan, folder: Path, outcome: Outcome) -> None:
        self.campaign, self.plan, self.folder, self.outcome = campaign, plan, folder, outcome
        self.reached = 0
        """The last step taken by any start so far, counted over all tasks."""
        self.before: Injection | None = None
        self.damaged: str | None = None
        """The fault that the current start has to get over."""

    def run(self) -> None:
        """Run the chain.

        Raises:
            NotRecoveredError: a start did not go on, or ended otherwise than its fault should.
        """
        for number, injection in enumerate(self.plan.injections):
            if self._start(number, injection):
                return
        if not self._start(len(self.plan.injections), None):
            raise NotRecoveredError("the last start, which was let alone, did not complete the run")

    def _start(self, number: int, injection: Injection | None) -> bool:
        """Start once more; return whether the run is complete."""
        child = self.campaign.start(self.plan, self.folder, number, injection)
        try:
            if injection is not None and injection.action == "mark":
                self._strike(child, injection, number)
            code = child.ended()
            left = child.outlived() if code else []
        finally:
            child.kill_all()
            self.campaign.tick()
        expected = injection.codes if injection and injection.codes else ()
        wrong = code is None or (
            code and (injection is None or (expected and code not in expected))
        )
        if wrong or (code and injection and injection.says not in child.output()):
            raise NotRecoveredError(f"{self._place(number, injection)}, exit code {code}: "
                                    f"{_complaint(child)}")  # fmt: skip
        self._judge(child, number)
        if left:
            raise NotRecoveredError(
                f"{self._place(number, injection)}: {len(left)} processes outlived their parent"
            )
        if code and injection:
            self._suffered(injection)
        return code == 0

    def _strike(self, child: Child, injection: Injection, number: int) -> None:
        """Wait for the marks of all ranks, then send the signal."""
        ranks = self.campaign.configuration.ranks
        marks = [self.folder / f"marker.{number}.{rank}" for rank in range(ranks)]
        if not child.wait_for(lambda: all(mark.exists() for mark in marks)):
            return
        if injection.delay and child.wait_for_end(injection.delay):
            return
        kind, _, index = injection.target.partition(" ")
        chosen = {
            "all": lambda: child.processes(),
            "parent": lambda: [child.pid],
            "rank": lambda: [int(marks[int(index)].read_text())],
        }
        child.send(injection.number, chosen[kind]())

    def _judge(self, child: Child, number: int) -> None:
        """Count the fault before as recovered: this start went on, and took so many steps again."""
        if self.before is None:
            return
        steps = self._positions(number)
        lost = max(0, self.reached - steps[0] + 1) if steps else 0
        self.outcome.lost = max(self.outcome.lost, lost)
        where = self._place(number - 1, self.before)
        if self.before.lost is not None and lost > self.before.lost:
            raise NotRecoveredError(f"{where}: {lost} steps were taken again")
        if self.damaged and self.damaged not in child.output():
            raise NotRecoveredError(
                f"{where}: the damage of {self.damaged} was passed over silently"
            )
        self.outcome.recovered += 1
        self.before = None

    def _suffered(self, injection: Injection) -> None:
        self.damaged = injection.damage.do(self.folder / "run") if injection.damage else None
        if injection.damage and not self.damaged:
            raise NotRecoveredError(f"{injection.damage.file} is absent and cannot be damaged")
        self.outcome.injected += 1
        self.before = injection
        taken = [p for n in range(len(self.plan.injections)) for p in self._positions(n)[-1:]]
        self.reached = taken[-1] if taken else 0

    def _positions(self, number: int) -> list[int]:
        steps = self.campaign.configuration.steps
        trace = read_trace(self.folder / f"trace.{number}")
        return [task * steps + step for task, step, _ in trace]

    @staticmethod
    def _place(number: int, injection: Injection | None) -> str:
        if injection is None:
            return f"start {number} (let alone)"
        return (
            f"start {number} ({injection.action} at task {injection.task}, step {injection.step}, "
            f"{injection.trigger} {injection.file})"
        )


def _callback(name: str, target: str, settings: dict[str, Any]) -> list[str]:
    own = {"_target_": f"benchmarks.faults.{target}"} | settings
    return [
        f"+callbacks.{name}.{key}={quote(value) if isinstance(value, str) else value}"
        for key, value in own.items()
    ]


def read_trace(path: Path) -> list[tuple[int, int, float]]:
    """Return what `benchmarks.faults.Trace` has written: (task, step, time) of each step taken."""
    if not path.exists():
        return []
    lines = [line.split() for line in path.read_text().splitlines(keepends=True) if "\n" in line]
    return [(int(task), int(step), float(when)) for task, step, when in lines]


def pace_of(trace: list[tuple[int, int, float]]) -> Pace:
    """Return how long steps and borders took."""
    pairs = list(zip(trace, trace[1:], strict=False))
    steps = [b[2] - a[2] for a, b in pairs if a[0] == b[0]]
    borders = [b[2] - a[2] for a, b in pairs if a[0] != b[0]]
    return Pace(median(steps), median(borders))


def _complaint(child: Child) -> str:
    """Return the last line that a child has printed, and where the others are."""
    lines = child.output().strip().splitlines() or ["(no output)"]
    return f"{lines[-1][:300]} [{child.log}]"
