"""What is done to a run: chains of faults, each of which the next start has to get over."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.soak_configurations import Configuration

KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
ANY = ()
"""Any exit code but 0: of a parent whose worker died."""


@dataclass(frozen=True)
class Damage:
    """What a dying disk does to a file that is there.

    Args:
        file: within the run's folder; of those that fit a pattern the first.
        kind: "truncate" (half of it) or "flip" (one bit in the middle).
    """

    file: str
    kind: str

    def do(self, folder: Path) -> str | None:
        """Damage the file; return its name, None if there is none."""
        path = min(folder.glob(self.file), default=None)
        if path is None:
            return None
        content = bytearray(path.read_bytes())
        middle = len(content) // 2
        if self.kind == "truncate":
            del content[middle:]
        else:
            content[middle] ^= 16
        path.write_bytes(content)
        return path.name


@dataclass(frozen=True)
class Injection:
    """One fault.

    Args:
        task: index of the task in which it happens.
        step: generator steps taken in it.
        action: of `benchmarks.faults.FaultAt`; mark: this process sends a signal.
        trigger: of the same.
        file: of the same.
        number: the signal, of action mark.
        target: who gets it: "all", "parent" or "rank r".
        delay: seconds from the mark to the signal.
        codes: exit codes that are right; none: any but 0.
        says: a word that the output must have.
        damage: done afterwards; the next start must name the file, and go on.
        lost: steps that may be taken again at most; None: any number.
    """

    task: int
    step: int
    action: str = "mark"
    trigger: str = "after_step"
    file: str = "last.ckpt"
    number: int = signal.SIGKILL
    target: str = "all"
    delay: float = 0.0
    codes: tuple[int, ...] = KILLED
    says: str = ""
    damage: Damage | None = None
    lost: int | None = None

    def overrides(self) -> dict[str, str | int]:
        """Return the settings of the callback that brings the fault about."""
        return {
            "task": self.task,
            "step": self.step,
            "action": self.action,
            "trigger": self.trigger,
            "file": self.file,
        }


@dataclass(frozen=True)
class Pace:
    """How long things took in the undisturbed run, in seconds.

    Args:
        step: one generator step, median.
        border: from a task's last step to the next task's first: consolidation, evaluation, files.
    """

    step: float
    border: float


@dataclass(frozen=True)
class Plan:
    """A chain of faults on one run.

    Args:
        injections: one after the other; each start gets the next.
        overrides: that the undisturbed run needs too, if it is to be the same.
        poison: a weight that becomes NaN once in either run.
        starts: how many processes start the run at once.
    """

    injections: list[Injection] = field(default_factory=list)
    overrides: tuple[str, ...] = ()
    poison: Injection | None = None
    starts: int = 1


Planner = Callable[[Configuration, Pace, random.Random, int], Plan]


def kill(c: Configuration, pace: Pace, source: random.Random, points: int) -> Plan:
    """SIGKILL from outside at random moments, a quarter of them at borders."""
    total = c.tasks * c.steps
    # A border is one place among many steps, but has most of the files that can break.
    weights = [points / 3 if (p + 1) % c.steps == 0 else 1 for p in range(total)]
    chosen = sorted(source.choices(range(total), weights, k=points))
    made = []
    for place in chosen:
        task, step = place // c.steps, place % c.steps + 1
        border = step == c.steps
        delay = source.uniform(0, pace.border if border else 2 * pace.step)
        made.append(Injection(task, step, delay=delay, lost=c.every))
    return Plan(made)


def aimed(c: Configuration, pace: Pace, source: random.Random, points: int) -> Plan:
    """SIGKILL while and around each file is written, at both sides of a step, in an evaluation."""
    k, last, end = c.every, c.steps, c.tasks - 1

    def at_border(task: int, action: str, file: str, trigger: str = "task_end") -> Injection:
        return Injection(task, last, action, trigger, file)

    chain = [
        Injection(0, 1, "kill", "before_step"),
        Injection(0, k, "cut"),
        Injection(0, k, "before_rename"),
        Injection(0, k, "after_rename"),
        Injection(0, 2 * k, "after_rename"),
        Injection(0, last - 1, "kill", "before_step"),
        Injection(0, last, "kill", "fit_end"),
        Injection(0, last, "evaluation", "fit_end"),
        at_border(0, "before_rename", "results.json"),
        at_border(0, "cut", ""),
        at_border(0, "before_rename", "task0.pt"),
        at_border(0, "after_rename", "task0.pt"),
        Injection(1, 0, "kill", "task_start"),
        Injection(1, k + 1, "kill"),
        at_border(end, "after_rename", "results.json"),
        at_border(end, "after_rename", f"task{end}.pt"),
    ]
    # With several ranks, the parent reports the death of a worker by a code of its own.
    codes = ANY if c.ranks > 1 else (*KILLED, -signal.SIGXFSZ)
    return Plan([replace(i, codes=codes, lost=c.every) for i in chain])


def sigterm(c: Configuration, pace: Pace, source: random.Random, points: int) -> Plan:
    """SIGTERM, as Slurm sends it before it kills."""
    return _asked_to_leave(c, pace, source, signal.SIGTERM)


def sigint(c: Configuration, pace: Pace, source: random.Random, points: int) -> Plan:
    """SIGINT, as Ctrl-C sends it."""
    return _asked_to_leave(c, pace, source, signal.SIGINT)


def _asked_to_leave(c: Configuration, pace: Pace, source: random.Random, number: int) -> Plan:
    # The places are a step after a checkpoint: what is lost would show.
    places = [(0, c.every + 1), (0, c.steps), (1, c.every + 2)]
    delays = [0.0, source.uniform(0, pace.border), 0.0]
    return Plan([
        Injection(task, step, number=number, target="parent", delay=delay, codes=(128 + number,),
                  lost=c.every)
        for (task, step), delay in zip(places, delays, strict=True)
    ])  # fmt: skip


def checkpoint(c: Configuration, pace: Pace, source: random.Random, points: int) -> Plan:
    """SIGKILL, and then the last checkpoint is cut short, or has a bit flipped."""
    step = 2 * c.every + 1
    return Plan([
        Injection(task, step, "kill", damage=Damage("checkpoints/last.ckpt", kind))
        for task, kind in ((0, "truncate"), (1, "flip"))
    ])  # fmt: skip


def border(c: Configuration, pace: Pace, source: random.Random, points: int) -> Plan:
    """SIGKILL in the second task, and then the first one's file is cut short, or has a bit flipped.

    Or a tensor that it names, or their list; with and without a checkpoint inside the second task.
    """
    own, tensor, names = "task0.pt", "tensors/*.pt", "tensors/*.names"
    late = c.every + 2
    places = [(2, "truncate", own), (2, "flip", own), (2, "flip", tensor), (2, "truncate", names),
              (late, "flip", own), (late, "truncate", tensor), (late, "flip", names)]  # fmt: skip
    return Plan([
        Injection(1, step, "kill", damage=Damage(f"checkpoints/{file}", kind))
        for step, kind, file in places
    ])  # fmt: skip


def collecting(c: Configuration, pace: Pace, source: random.Random, points: int) -> Plan:
    """SIGKILL while old borders are removed, and while tensors are that no border names then."""
    removal = "before_removal", "task_end"
    return Plan(
        [Injection(1, c.steps, *removal, "task0.pt"), Injection(2, c.steps, *removal, "tensors/*")],
        overrides=("keep=last", "data.num_tasks=3"),
    )


def full(c: Configuration, pace: Pace, source: random.Random, points: int) -> Plan:
    """The disk is full when a checkpoint is written, and when a border is."""
    own = {"codes": (1,), "says": "could not write", "lost": c.every}
    return Plan([
        Injection(0, c.every, "full", **own),  # type: ignore[arg-type]
        Injection(0, 2 * c.every, "full", **own),  # type: ignore[arg-type]
        Injection(1, c.steps, "full", "task_end", **own),  # type: ignore[arg-type]
    ])  # fmt: skip


def nan(c: Configuration, pace: Pace, source: random.Random, points: int) -> Plan:
    """A weight becomes NaN and the run rewinds; SIGKILL soon after, and later."""
    poisoned = c.every + 2
    return Plan(
        [Injection(0, poisoned + 1, "kill"), Injection(0, c.steps - 1, "kill"),
         Injection(1, c.every + 1, "kill")],
        overrides=("on_nan=rewind", "callbacks.guard.every=1"),
        poison=Injection(0, poisoned, "poison"),
    )  # fmt: skip


def twice(c: Configuration, pace: Pace, source: random.Random, points: int) -> Plan:
    """Two processes start the same run at once."""
    return Plan(starts=2)


def rank(c: Configuration, pace: Pace, source: random.Random, points: int) -> Plan:
    """SIGKILL of a single rank: the others must stop too."""
    own = {"codes": ANY, "lost": c.every}
    return Plan([
        Injection(0, c.every + 1, target="rank 1", **own),  # type: ignore[arg-type]
        Injection(1, c.every + 1, target="rank 0", **own),  # type: ignore[arg-type]
        Injection(1, c.steps, target="rank 1", delay=pace.border / 2, **own),  # type: ignore[arg-type]
    ])  # fmt: skip


def parent(c: Configuration, pace: Pace, source: random.Random, points: int) -> Plan:
    """SIGKILL of the process that started the ranks: they must die with it."""
    return Plan([
        Injection(task, c.every + 1, target="parent", lost=c.every) for task in range(c.tasks)
    ])  # fmt: skip


def extended(c: Configuration, pace: Pace, source: random.Random, points: int) -> Plan:
    """SIGKILL while a parent's border is measured again, then at random moments in new tasks."""
    again = [
        Injection(0, 0, action, "task_start", file)
        for action, file in (("kill", ""), ("before_rename", "task0.png"), ("evaluation", ""),
                             ("before_rename", "results.json"), ("after_rename", "results.json"))
    ]  # fmt: skip
    later = kill(c, pace, source, points).injections
    return Plan([*again, *(i for i in later if i.task >= c.parent)])


PLANS: dict[str, Planner] = {
    function.__name__: function
    for function in (kill, aimed, sigterm, sigint, checkpoint, border, collecting, full, nan, twice,
                     rank, parent, extended)
}  # fmt: skip
TITLES = {
    "kill": "SIGKILL, random moments",
    "aimed": "SIGKILL, aimed",
    "sigterm": "SIGTERM",
    "sigint": "SIGINT",
    "checkpoint": "checkpoint damaged",
    "border": "border file damaged",
    "collecting": "SIGKILL, collecting",
    "full": "disk full",
    "nan": "NaN, rewind, SIGKILL",
    "twice": "started twice at once",
    "rank": "SIGKILL of one rank",
    "parent": "SIGKILL of the parent",
    "extended": "extended, killed",
}
