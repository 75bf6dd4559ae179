"""Piggyback GAN and its rivals as methods: counts by hand, players, class-conditioned sequences."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from borders import begin, end
from hydra import compose, initialize_config_dir

from lgan.callbacks.masks import FreezeFilterBank
from lgan.cli.common import config_path
from lgan.errors import ConfigError, RunError
from lgan.training.build import build_method

SETTINGS = {
    "tiny": (
        (1, 2, 2),
        ["network.generator.width=4", "network.generator.z_dim=2", "network.discriminator.width=4"],
    ),
    "digits": ((1, 8, 8), ["data=digits", "network.generator.width=8"]),
    "mnist": (
        (1, 32, 32),
        ["data=mnist", "network.generator.width=4", "network.discriminator.width=4"],
    ),
}
TASKS = [(0,), (1,), (2,)]


def configured(name: str, data: str, *overrides: str):
    """Return a method as lgan-train builds it, before its first task."""
    shape, own = SETTINGS[data]
    with initialize_config_dir(config_path(), version_base="1.3"):
        config = compose("train", [f"method={name}", *own, *overrides])
    return build_method(config, shape, 4 if data == "tiny" else 10)


def start(method, task: int) -> None:
    """Begin a task."""
    begin(method, task, TASKS)


def train(method, task: int, steps: int = 2) -> None:
    """Take steps on noise as pictures."""
    source = torch.Generator().manual_seed(task)
    optimizers = dict(zip(method.players, method.configure_optimizers(), strict=True))
    method.train()
    for step in range(steps):
        method.noise.reseed(step)
        x = torch.rand(4, *method.networks.image_shape, generator=source) * 2 - 1
        batch = {"x": x, "y": torch.tensor(TASKS[task] * 4)}
        for player in ("discriminator", "generator"):
            optimizers[player].zero_grad()
            method.loss(player, batch).backward()
            optimizers[player].step()


@torch.no_grad()
def drawn(method, task: int) -> torch.Tensor:
    """Pictures of a task's classes from fixed noise."""
    noise = torch.randn(4, method.generator.z_dim, generator=torch.Generator().manual_seed(9))
    return method.eval().generate(noise, torch.tensor(TASKS[task] * 4))


# mnist's linear layer takes 128 and gives 2,048: it is factorised only if it saves.
@pytest.mark.parametrize("data", ["digits", "mnist"])
@pytest.mark.parametrize("name", ["piggyback_gan", "pure_factorization", "piggyback_mask"])
def test_old_classes_keep_their_bits_in_three_tasks_and_when_loaded(name, data) -> None:
    method, kept = configured(name, data), {}
    for task in range(3):
        start(method, task)
        train(method, task)
        end(method)
        kept[task] = drawn(method, task)
        for old, images in kept.items():
            assert torch.equal(drawn(method, old), images), (old, task)
    assert not torch.equal(kept[0], kept[1])
    again = configured(name, data)
    again.task_classes = TASKS
    again.load_border_state(method.border_state())
    for old, images in kept.items():
        assert torch.equal(drawn(again, old), images), old


@pytest.mark.parametrize("data", ["digits", "mnist"])
def test_filters_are_mixed_and_trained_on_class_sequences(data) -> None:
    method = configured("piggyback_gan", data)
    for task in range(2):
        start(method, task)
        train(method, task)
        if not task:
            end(method)
    mixed = {key: p for key, p in method.generator.named_parameters() if key.endswith("mixing")}
    assert mixed, "no layer has a bank"
    for key, mixing in mixed.items():
        assert mixing.requires_grad and set(mixing.unique().tolist()) != {0.0, 1.0}, key


def test_linear_layer_of_mergans_network_is_factorised_only_where_it_saves() -> None:
    method = configured("piggyback_gan", "mnist")
    for task in range(2):
        start(method, task)
        end(method)
    counts = method.parameter_counts()
    assert counts["stored"] < counts["full"]


@pytest.mark.parametrize(("overrides", "size"), [((), 3.0), (("preset=paper",), None)])
def test_banks_are_bounded_beyond_the_papers_sequences(overrides, size) -> None:
    """Of three times Co at a share of 1/4: the tenth task's bank is the first full one."""
    settings = configured("piggyback_gan", "tiny", *overrides)._settings
    assert (settings.size, settings.keep) == (size, "first")
    assert settings.bank_size(learnt=4 + 8, outputs=4) == 12
    assert settings.bank_size(learnt=4 + 9, outputs=4) == (13 if size is None else 12)


def tiny(name: str, *overrides: str):
    """Return a method on an MLP of 24 + 4, 16 + 4 and 16 + 4 parameters."""
    return configured(name, "tiny", *overrides)


@pytest.mark.parametrize(
    ("name", "later", "trained"),  # None: what was added
    [
        # lambda 1/4, bank of 4, then 5: free 6 + 4, W (4 + 4) * 3, biases 8, last layer 20.
        ("piggyback_gan", (6 + 4 + 24 + 8 + 20, 6 + 4 + 30 + 8 + 20), None),
        ("pure_factorization", (2 * 4 * 4 + 8 + 20, 2 * 4 * 4 + 8 + 20), None),
        ("piggyback_mask", (2 + 20, 2 + 20), 24 + 16 + 20),  # the scores; two numbers of 32 bits
        ("progressive", (68 + 2 * 16, 68 + 4 * 16), None),  # laterals before two layers
        ("sft_heads", (20, 20), 68),
        ("full", (68, 68), None),
    ],
)
def test_parameter_counts_by_hand(name, later, trained) -> None:
    method, stored = tiny(name), 0
    for task in range(3):
        start(method, task)
        method.configure_optimizers()
        end(method)
        counts, own = method.parameter_counts(), (68, *later)
        assert counts["trained"] == (own if trained is None else (68, trained, trained))[task]
        assert counts["stored"] - stored == own[task]
        stored = counts["stored"]
        assert counts["stored"] == sum(own[: task + 1])
        assert counts["full"] == 68 * (task + 1)


def test_narrow_models_are_counted_against_full_ones() -> None:
    method = tiny("full_half")
    start(method, 0)
    end(method)
    counts = method.parameter_counts()
    assert counts["stored"] == (6 * 2 + 2) + (2 * 2 + 2) + (2 * 4 + 4)
    assert counts["full"] == 68


@pytest.mark.parametrize("inherits", [False, True])
def test_discriminators_are_fresh_unless_inherited(inherits) -> None:
    method = tiny("piggyback_gan", f"method.inherit_discriminator={inherits}")
    start(method, 0)
    before = {key: tensor.clone() for key, tensor in method.discriminator.state_dict().items()}
    train(method, 0)
    trained = method.discriminator.state_dict()["score.weight"].clone()
    end(method)
    start(method, 1)
    now = method.discriminator.state_dict()["score.weight"]
    assert torch.equal(now, trained) == inherits
    assert not torch.equal(now, before["score.weight"]), "another task draws other weights"


def test_optimizer_may_not_hold_what_old_tasks_use_nor_decay() -> None:
    method = tiny("piggyback_gan")
    start(method, 0)
    end(method)
    start(method, 1)
    optimizers = method.configure_optimizers()
    held = {id(p) for group in optimizers[0].param_groups for p in group["params"]}
    assert held == {id(p) for p in method.generator.parameters() if p.requires_grad}
    frozen = next(p for p in method.generator.parameters() if not p.requires_grad)
    bank = next(c for c in method.configure_callbacks() if isinstance(c, FreezeFilterBank))
    trainer = type("Trainer", (), {"optimizers": optimizers})()
    bank.on_train_start(trainer, method)
    optimizers[0].add_param_group({"params": [frozen]})
    with pytest.raises(RunError, match="finished tasks use"):
        bank.on_train_start(trainer, method)
    method.optimizer = partial(torch.optim.AdamW, weight_decay=0.1)
    with pytest.raises(ConfigError, match="weight_decay"):
        method.configure_optimizers()
