from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from borders import info
from every_method import DIGITS, TWO_TASKS
from torch import nn

from lgan.errors import ConfigError
from lgan.launch.compose import compose_run
from lgan.methods.dual_memory import DualMemory, new_share
from lgan.networks.dcgan import Mergan32Discriminator, Mergan32Generator
from lgan.networks.factory import NetworkFactory
from lgan.objectives.acgan import ACGAN
from lgan.objectives.adversarial import Wasserstein
from lgan.objectives.vae import VAE
from lgan.run.borders import load_border
from lgan.run.record import RunRecord
from lgan.training.runner import SequenceRunner
from lgan.training.train import train

TASKS = [(0, 1), (2,), (3,)]
SLEEP = 5


@pytest.mark.parametrize(("age", "eta"), [(0, 1), (90_000, 0.25), (120_000, 0.25), (210_000, 0.25)])
def test_the_share_of_new_pictures_by_hand(age, eta) -> None:
    """TDigits: five tasks of 6,000 a sleep, kappa .05; from 90,000 on the least share binds."""
    assert new_share(30_000, age, 120_000, 5 * 0.05) == eta
    assert new_share(30_000, 210_000, None, 0.25) == 0.125
    assert new_share(10, 90, 100, 0.25) == 0.1, "all of them find room"


@pytest.fixture
def make(networks: NetworkFactory) -> Callable[..., DualMemory]:
    """Return a maker of methods on the linear networks, tasks (0, 1), (2,) and (3,)."""

    def make(objective: Any = None, **knobs: Any) -> DualMemory:
        objective = objective or ACGAN(Wasserstein())
        return DualMemory(
            name="tiny", networks=objective.networks(networks), objective=objective,
            optimizer=partial(torch.optim.Adam, lr=1e-2), **knobs,
        )  # fmt: skip

    return make


def begin(method: DualMemory, task: int) -> DualMemory:
    told = info(task, TASKS)
    method.begin_task(info(task, TASKS, further_steps=method.further_steps(told)))
    return method


def learn(method: DualMemory, tasks: int) -> DualMemory:
    for task in range(tasks):
        begin(method, task).end_task(cast(Any, method.info))
    return method


def test_a_sleep_comes_when_all_memories_are_full_and_after_the_last_task(make) -> None:
    def lengths(**knobs: Any) -> list[int]:
        method, found = make(**knobs), []
        for task in range(3):
            found.append(method.further_steps(info(task, TASKS)))
            begin(method, task).end_task(method.info)
        return found

    # A task has four steps here: as many as awake for each task, if nothing else is said.
    assert lengths() == [0, 8, 4]
    assert lengths(final_sleep=False) == [0, 8, 0]
    assert lengths(n_stm=3, sleep_steps=SLEEP) == [0, 0, SLEEP]
    assert lengths(n_stm=1, sleep_steps=SLEEP) == [SLEEP] * 3
    assert lengths(n_stm=4, final_sleep=False) == [0, 0, 0]


@pytest.mark.parametrize(
    ("kappa", "n_max", "ages"),
    [
        (0.25, None, [4, 8, 12]),
        (0.25, 4, [4, 4 + 4 / 2, 6 + 0.4 * 4]),  # new of new + age: 4 of 8, 4 of 10
        (0.75, 4, [4, 4 + 0.75 * 4, 7 + 0.75 * 4]),
        (1, 6, [4, 8, 12]),  # no more than there are
    ],
)
def test_the_age_is_what_was_consolidated(make, kappa, n_max, ages) -> None:
    """Of four pictures of each task, N_max eta."""
    method, found = make(n_stm=1, kappa=kappa, n_max=n_max), []
    for task in range(3):
        begin(method, task).end_task(method.info)
        found.append(sum(method.age.values()))
    assert found == pytest.approx(ages)


def test_the_least_share_is_of_each_task(make) -> None:
    method = begin(learn(make(n_stm=4, kappa=0.1, n_max=20, final_sleep=False), 2), 2)
    method.age = {9: 1000.0}
    assert method.share_of_new() == pytest.approx(3 * 0.1)


def test_roles_awake_and_asleep(make, batch) -> None:
    method = begin(learn(make(), 1), 1)
    short, long = (["discriminator", "generator"], ["long_discriminator", "long_generator"])
    assert [*method.players] == ["generator", "discriminator", *sorted(long, reverse=True)]
    method.plan_dreams(6, 8)
    for method.step, roles in ((3, short), (4, long), (11, long)):
        assert [role for role, _ in method.schedule([batch])] == roles
    assert [*begin(learn(make(), 0), 0).players] == ["generator", "discriminator"]


def test_asleep_no_real_picture_is_looked_at_and_shares_are_those_of_pictures(make) -> None:
    """Age 8 of three classes (2, 2, 4 pictures), and 4 new pictures of class 3."""
    method = begin(learn(make(n_stm=2), 2), 2)
    assert method.age == {0: 2.0, 1: 2.0, 2: 4.0} and method.pictures == {3: 4.0}
    method.plan_dreams(60, 200)
    drawn = Counter(method._dreamt.flatten().tolist())
    shares = [drawn[label] / 12_000 for label in range(4)]
    assert shares == pytest.approx([1 / 6, 1 / 6, 1 / 3, 1 / 3], abs=0.02)
    dream = method.dream(7)
    assert dream["x"].shape == (60, 1, 2, 2) and dream["y"].equal(method._dreamt[7])
    method.step = 4
    real = {"x": torch.full((6, 1, 2, 2), torch.nan), "y": torch.full((6,), 3)}
    for role, part in method.schedule([real]):
        assert torch.isfinite(method.loss(role, part))


def test_dreams_are_the_old_and_the_short_generators(make) -> None:
    method = begin(learn(make(), 2), 2)
    for p in method.generator.parameters():
        nn.init.constant_(p, 9.0)  # as the sleep moves it
    method.plan_dreams(8, 1)
    method.noise.reseed(3)
    dream = method.dream(0)
    method.noise.reseed(3)
    z, old = method.noise.normal(8, 3), dream["y"] < 3
    for mine, generator in ((old, method.old_generator), (~old, method.short_generators[0])):
        assert mine.any()
        torch.testing.assert_close(dream["x"][mine], generator(z[mine], dream["y"][mine]))


def test_dreams_are_drawn_and_labelled_as_for_evaluation(make) -> None:
    method, modes = begin(learn(make(labels="learner"), 2), 2), list[bool]()
    old = [method.old_generator, method.old_discriminator]
    networks = [*old, method.short_generators[0], method.short_discriminators[0]]
    method.train()
    for network in networks:
        network.register_forward_hook(lambda own, *_: modes.append(own.training))
    for learner, told in ((old[1], 1), (networks[3], 3)):  # it would rather say 0
        nn.init.constant_(learner.label.weight, 0.0)
        learner.label.bias.data.copy_(torch.tensor([2.0, 9.0, 1.0, 3.0]) if told == 1 else 9.0)
    method.plan_dreams(8, 1)
    assert {*method.dream(0)["y"].tolist()} == {1, 3}, "what it takes them for, of what it met"
    assert modes == [False] * 4 and all(network.training for network in networks)


def test_only_a_sleep_lets_the_long_term_memory_answer(make) -> None:
    method, found = make(), []
    assert method.declaration == ""
    for task in range(3):
        begin(method, task).end_task(method.info)
        found.append((method.has_classifier, [method.learnt_at(t) for t in range(task + 1)]))
    assert found == [(False, [0]), (True, [1, 1]), (True, [1, 1, 2])]
    method = begin(learn(make(final_sleep=False), 2), 2)
    logits = [method.classifier_of(task)(torch.zeros(2, 1, 2, 2)) for task in (0, 2)]
    assert [torch.isfinite(each[0]).tolist() for each in logits] == [
        [True, True, True, False], [False, False, False, True],
    ]  # fmt: skip


def test_learners_tell_classes_that_came_after_them_apart(networks) -> None:
    """With data.capacity=grow a short-term memory has rows for no others, and says no to them."""
    method = DualMemory(
        name="tiny", networks=replace(networks, num_classes=2), objective=ACGAN(Wasserstein()),
        optimizer=torch.optim.Adam, n_stm=3,
    )  # fmt: skip
    for task, rows in enumerate((2, 3)):
        method.begin_task(info(task, TASKS, num_classes=rows))
        method.end_task(cast(Any, method.info))
    for task, known in enumerate([[True, True, False], [False, False, True]]):
        logits = method.classifier_of(task)(torch.zeros(1, 1, 2, 2))
        assert torch.isfinite(logits).tolist() == [known]


@pytest.mark.parametrize("labels", ["requested", "learner"])
def test_peak_and_stored_by_hand(labels) -> None:
    """MeRGAN's networks for digits: 525,569 and 279,563 parameters (papers/dual_memory.md, 7)."""
    pair = NetworkFactory(Mergan32Generator, Mergan32Discriminator, (1, 32, 32), 10)
    method = DualMemory(
        name="tiny", networks=pair, objective=ACGAN(Wasserstein()), final_sleep=False,
        optimizer=torch.optim.Adam, labels=labels,
    )  # fmt: skip
    tasks, counts = [(0,), (1,), (2,), (3,)], []
    for task in range(4):
        told = info(task, tasks, num_classes=10)
        further = method.further_steps(told)
        method.begin_task(info(task, tasks, num_classes=10, further_steps=further))
        method.end_task(cast(Any, method.info))
        counts.append(method.parameter_counts())
    # A generator that is told no class has the rows of one.
    told_none = sum(p.numel() for p in method.generator.parameters())
    made = 525_569 if labels == "requested" else told_none
    long = made + 279_563
    frozen = made if labels == "requested" else long
    assert [c["stored"] for c in counts] == [2 * long, long, 2 * long, long]
    assert [c["peak"] for c in counts] == [2 * long, 3 * long, 3 * long, 3 * long + frozen]
    assert [c["trained"] for c in counts] == [made, 2 * made] * 2


def test_a_learner_sees_reconstructions_in_training_and_in_test(make, batch) -> None:
    method = begin(make(VAE(), n_stm=1), 0)
    memory = method.memory_of(0)
    made = method.objective.reconstruct(memory.generator, batch["x"], torch.zeros(6).long())
    assert memory.generator.num_classes == 1 and not torch.equal(made, batch["x"])
    told = {"x": made, "y": batch["y"] % 2}
    plain_loss = method.objective.discriminator_loss(*memory[:2], told, method.noise)
    own = method.loss("discriminator", told | {"x": batch["x"]})
    torch.testing.assert_close(own, plain_loss)
    logits = method.classifier_of(0)(batch["x"])[:, :2]
    torch.testing.assert_close(logits, memory.discriminator(made)[1][:, :2])
    z = torch.randn(4 * method.noise_rows, 3)
    assert method.generate(z, torch.tensor([0, 1, 1, 0])).shape == (4, 1, 2, 2)


def test_without_an_encoder_or_with_the_class_told_pictures_are_seen_as_they_are(make) -> None:
    x = torch.rand(2, 1, 2, 2)
    for knobs in ({"labels": "learner"}, {"labels": "requested", "objective": VAE()}):
        method = begin(make(**knobs), 0)
        assert torch.equal(method.seen(method.memory_of(0).generator, x), x)


def test_an_unconditional_generator_is_asked_for_no_class(make, batch) -> None:
    """The critic's class head is the learner; the generator's loss has no class in it."""
    objective = ACGAN(Wasserstein(), penalty_weight=0)
    method = begin(make(objective, labels="learner"), 0)
    generator, critic, _ = method.memory_of(0)
    method.noise.reseed(5)
    loss = method.loss("generator", batch | {"y": batch["y"] % 2})
    method.noise.reseed(5)
    score = critic(generator(method.noise.normal(6, 3), torch.zeros(6).long()))[0]
    torch.testing.assert_close(loss, -score.mean())


def test_a_learner_picks_what_it_takes_for_the_class_asked_for(make) -> None:
    method = begin(make(labels="learner", noise_rows=8), 0)
    memory, labels = method.memory_of(0), torch.tensor([0, 1, 1, 0])
    with torch.no_grad():
        memory.discriminator.label.weight.zero_()[:2] = torch.tensor([[1.0], [-1.0]])
        memory.discriminator.label.bias.zero_()
    images = method.generate(torch.randn(32, 3, generator=torch.manual_seed(0)), labels)
    assert method.answer(memory, images).argmax(1).equal(labels)


def test_what_makes_no_sense_is_refused(make) -> None:
    with pytest.raises(ConfigError, match=r"kappa=0.3, for each of method.n_stm=4 .* most 0.25"):
        make(n_stm=4, kappa=0.3, n_max=10)
    objective = VAE()
    pair = NetworkFactory(Mergan32Generator, Mergan32Discriminator, (1, 32, 32), 10)
    with pytest.raises(ConfigError, match=r"statistics normalises .* choose none"):
        DualMemory(name="t", networks=objective.networks(pair), objective=objective,
                   optimizer=torch.optim.Adam)  # fmt: skip


RUN = [*(o for o in (*DIGITS, *TWO_TASKS) if "num_tasks" not in o), "data.num_tasks=3"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, cache) -> Callable[..., Path]:
    def run(name: str, *overrides: str) -> Path:
        folder = tmp_path_factory.getbasetemp() / "dual" / name
        places = [f"run_dir={folder}", f"paths.cache={cache}"]
        return train(compose_run([*overrides, *places]))

    return run


def images(folder: Path) -> list[list[str]]:
    return [[t["digest"] for t in row["retention"]] for row in RunRecord.load(folder).rows]


@pytest.mark.slow
def test_with_room_for_all_tasks_it_is_a_network_per_task(run) -> None:
    alone = run("alone", *RUN, "method=dual_memory", "method.n_stm=4", "method.final_sleep=false")
    assert images(alone) == images(run("per_task", *RUN, "method=per_task"))


MEASURED = [*(o for o in TWO_TASKS if "evaluation" not in o), *DIGITS, "evaluation=fast",
            "evaluation.samples_per_class=4", "evaluation.classifier_training.steps=5",
            "data.num_tasks=5", "method=dual_memory"]  # fmt: skip


@pytest.mark.slow
def test_between_sleeps_old_images_keep_their_bits_and_no_single_head_is_measured(run) -> None:
    folder = run("five", *MEASURED)
    rows = RunRecord.load(folder).rows
    shown = images(folder)
    assert [row["steps"] for row in rows] == [2, 6, 2, 6, 4]
    assert [row["dual_memory"]["sleep_steps"] for row in rows] == [0, 4, 0, 4, 2]
    assert shown[1] == shown[2][:2] and shown[3][2] != shown[2][2]
    exact = [[entry["exact"] for entry in row["retention"]] for row in rows]
    # Drift is since the sleep that moved a task; in the second one the first two are replayed.
    assert exact[1] == [True, True] and exact[2] == [True] * 3
    assert exact[3] == [False, False, True, True] and exact[4][4]
    heads = [row["overall"].get("accuracy_single_head") is not None for row in rows]
    assert heads == [False, True, False, True, True]
    told = [row["overall"]["accuracy_task_routed"] for row in rows]
    assert all(0 <= value <= 1 for value in told)
    assert told[3] == rows[3]["overall"]["accuracy_single_head"]


class Crash(Exception):
    """Stands for a kill."""


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["acgan", "vae"])
def test_a_sleep_goes_on_where_it_was_killed(run, monkeypatch, objective) -> None:
    asked = [*RUN, "method=dual_memory", "method.n_stm=1", "method.sleep_steps=4",
             f"objective={objective}", "data.num_tasks=2",
             "callbacks.checkpoint.every=3"]  # fmt: skip
    straight = run(f"straight-{objective}", *asked)
    own = DualMemory.dream

    def dying(self: DualMemory, turn: int) -> Any:
        if self.task_index == 1 and self.step == 4:
            raise Crash
        return own(self, turn)

    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(DualMemory, "dream", dying)
        run(f"killed-{objective}", *asked)
    begun: list[int] = []
    fit = SequenceRunner._fit

    def watched(self: SequenceRunner, trainer: Any, task: int) -> None:
        found = self._found(task)
        begun.append(found.step if found else 0)
        fit(self, trainer, task)

    monkeypatch.setattr(SequenceRunner, "_fit", watched)
    killed = run(f"killed-{objective}", *asked)
    assert begun == [3] and images(killed) == images(straight)
    first, second = (load_border(f / "checkpoints/task1.pt") for f in (straight, killed))
    assert first["structure"] == second["structure"]
    for name, tensor in first["state"].items():
        assert torch.equal(tensor, second["state"][name]), name
