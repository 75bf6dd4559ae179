from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from borders import begin, end

from lgan.errors import RunError, TrainingDivergedError
from lgan.methods.joint import Joint
from lgan.methods.per_task import PerTask
from lgan.methods.sft import SFT
from lgan.networks.modes import frozen
from lgan.run.rewinds import Rewinds


def test_frozen_restores_only_what_it_froze(networks) -> None:
    net = networks.build_generator()
    net.offset.requires_grad_(False)
    with frozen([net]):
        assert not any(p.requires_grad for p in net.parameters())
    assert net.linear.weight.requires_grad and not net.offset.weight.requires_grad


def test_factory_builds_the_same_weights_whatever_was_drawn_before(networks) -> None:
    first = networks.build_generator()
    torch.randn(10)
    again, other = networks.build_generator(), networks.build_generator(task=1)
    assert torch.equal(first.linear.weight, again.linear.weight)
    assert not torch.equal(first.linear.weight, other.linear.weight)


def test_factory_leaves_the_global_generator_alone(networks) -> None:
    torch.manual_seed(0)
    expected = torch.randn(3)
    torch.manual_seed(0)
    networks.build_generator()
    assert torch.equal(torch.randn(3), expected)


def test_default_schedule(make_method) -> None:
    steps = list(make_method(SFT).schedule(["a", "b"]))
    assert steps == [("discriminator", "a"), ("discriminator", "b"), ("generator", "b")]


def test_declarations(make_method) -> None:
    assert make_method(SFT).declaration == ""
    assert make_method(Joint).declaration and Joint.cumulative_data
    assert make_method(PerTask).declaration


def test_border_state_of_another_method_is_refused(make_method) -> None:
    state = make_method(SFT).border_state() | {"method": "ewc_gan"}
    with pytest.raises(RunError, match="method=ewc_gan"):
        make_method(SFT).load_border_state(state)


def test_not_finite_names_task_and_step(make_method) -> None:
    method = make_method(SFT)
    method.step = 17
    method.losses = {"generator": torch.tensor(float("nan"))}
    with pytest.raises(TrainingDivergedError, match="task 0, step 17"):
        method.check_finite()
    method.losses = {"generator": torch.tensor(-3e6)}
    method.check_finite()
    with pytest.raises(TrainingDivergedError, match="loss of the generator is -3e.06 at task 0"):
        method.check_finite(limit=1e6)
    method.losses = {}
    method.check_finite(weights=True)
    with torch.no_grad():
        method.discriminator.score.weight[0, 0] = float("inf")
    with pytest.raises(TrainingDivergedError, match="discriminator's score.weight"):
        method.check_finite(weights=True)


def test_per_task_keeps_and_counts_every_generator(make_method) -> None:
    method = make_method(PerTask)
    one = sum(p.numel() for p in method.generator.parameters())
    images = []
    for task in range(2):
        end(begin(method, task))
        z = torch.ones(2, 3)
        images.append(method.generate(z, torch.tensor([0, 1])))
        assert method.parameter_counts()["stored"] == (task + 1) * one
    assert torch.equal(images[0], images[1])
    fresh = make_method(PerTask)
    fresh.load_border_state(method.border_state())
    assert torch.equal(
        fresh.generate(z, torch.tensor([0, 3])), method.generate(z, torch.tensor([0, 3]))
    )
    assert not method.has_classifier


def test_per_task_starts_each_task_from_fresh_weights(make_method) -> None:
    method = make_method(PerTask)
    first = method.generator.linear.weight.clone()
    begin(method, 1)
    assert not torch.equal(method.generator.linear.weight, first)


def test_a_new_task_begins_with_empty_pools(make_translator, pairs) -> None:
    """Else its discriminators would see pictures of the task before."""
    method = make_translator(SFT, "cyclegan")
    method.loss("discriminator", pairs)
    assert [pool.count for pool in method.objective.pools.values()] == [4, 4]
    begin(method, 1)
    assert [pool.count for pool in method.objective.pools.values()] == [0, 0]


def stepping(method):
    """Let the method take steps without a Trainer, of which the first noise is kept."""
    optimizers = method.configure_optimizers()
    method._trainer = SimpleNamespace(optimizers=optimizers, global_rank=0, world_size=1)
    method.optimizers = lambda: optimizers
    drawn = []

    def schedule(batches):
        drawn.append(method.noise.normal(1, 3).tolist())
        return iter(())

    method.schedule = schedule
    return optimizers, drawn


def test_every_players_learning_rate_follows_the_schedule(make_method) -> None:
    method = make_method(SFT, rate_schedule=lambda step, clock: 1 / (1 + step))
    optimizers, _ = stepping(method)
    for step in range(3):
        method.training_step([], step)
        rates = [group["lr"] for o in optimizers for group in o.param_groups]
        assert rates == [pytest.approx(1e-2 / (1 + step))] * 2


@pytest.mark.parametrize("start", [0, 5])
def test_the_discriminators_steps_are_counted_from_the_tasks_first_one(make_method, batch, start):
    """Whatever happened before: a run that goes on with step 5 has taken 10 of two a step."""
    method, turns = make_method(SFT), []
    optimizers = method.configure_optimizers()
    method.optimizers, method.manual_backward = (lambda: optimizers), torch.Tensor.backward
    loss = method.loss

    def watched(player, rows):
        turns.append((player, method.objective.turn))
        return loss(player, rows)

    method.loss, method.step = watched, start
    for step in range(2):
        method.training_step([batch, batch], step)
    critic = [turn for player, turn in turns if player == "discriminator"]
    assert critic == [2 * start + n for n in range(4)]


def test_a_rewind_changes_the_noise_and_the_rates_from_its_first_step_on(make_method) -> None:
    entry = {"task": 0, "from_step": 1, "at_step": 3, "rate_factor": 0.5}
    noise, rates = [], []
    for entries in ([], [entry]):
        method = make_method(SFT)
        optimizers, drawn = stepping(method)
        method.rewinds = Rewinds(entries)
        for step in range(3):
            method.training_step([], step)
            rates.append([o.param_groups[0]["lr"] for o in optimizers])
        noise.append(drawn)
    assert [a == b for a, b in zip(*noise, strict=True)] == [True, False, False]
    assert rates == [[1e-2] * 2] * 4 + [[5e-3] * 2] * 2


def test_images_are_drawn_by_ways_that_repeat(make_method) -> None:
    """On a GPU cuDNN's fastest transposed convolutions add in any order."""
    method, seen, cudnn = make_method(SFT), [], torch.backends.cudnn
    method.generator.register_forward_hook(lambda *_: seen.append(cudnn.deterministic))
    before = cudnn.deterministic, cudnn.benchmark
    method.generate(torch.randn(2, method.generator.z_dim), torch.tensor([0, 1]))
    assert seen == [True] and (cudnn.deterministic, cudnn.benchmark) == before
