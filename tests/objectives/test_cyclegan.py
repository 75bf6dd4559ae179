"""CycleGAN by hand, on linear networks and pictures of one pixel."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from lgan.cli.common import config_path
from lgan.errors import ConfigError
from lgan.methods.fit import check_networks
from lgan.networks.composite import CycleDiscriminator, CycleGenerator
from lgan.networks.modes import frozen
from lgan.networks.roles import PictureDiscriminator, Translator
from lgan.objectives.adversarial import LeastSquares
from lgan.objectives.cyclegan import CycleGAN
from lgan.seeding import Noise


class Linear(Translator, PictureDiscriminator):
    """p -> a p + b, as a translator or as a discriminator."""

    def __init__(self, a: float, b: float = 0.0) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(a)), nn.Parameter(torch.tensor(b))

    def forward(self, pictures, y=None):
        return self.a * pictures + self.b


def translators() -> CycleGenerator:
    halves = iter((Linear(2.0), Linear(0.5, 1.0)))
    return CycleGenerator((1, 1, 2), 1, lambda *_, **__: next(halves))


def critics(target: float = 1.0, source: float = 2.0) -> CycleDiscriminator:
    sides = iter((Linear(target), Linear(source)))
    return CycleDiscriminator((1, 1, 2), 1, lambda *_: next(sides))


def pixels(*values: float) -> torch.Tensor:
    return torch.tensor(values)[:, None, None, None]


def batch(x=(3.0,), z=(1.0,)) -> dict:
    return {"x": pixels(*x), "z": pixels(*z), "y": torch.zeros(len(x), dtype=torch.int64)}


def cyclegan(**knobs) -> CycleGAN:
    return CycleGAN(LeastSquares(1.0), **knobs)


# x = 3, z = 1: F(z) = 2, B(x) = 2.5; B(F(z)) = 2, F(B(x)) = 5; F(x) = 6, B(z) = 1.5.
# Scores: D_t(F(z)) = 2, D_s(B(x)) = 5.
FOOL, CYCLES, IDENTITIES = (2 - 1) ** 2 + (5 - 1) ** 2, 1.0 + 2.0, 3.0 + 0.5


def test_generator_loss_by_hand() -> None:
    loss = cyclegan().generator_loss(translators(), critics(), batch(), Noise(0))
    assert loss.item() == pytest.approx(FOOL + 10 * CYCLES + 10 * 0.5 * IDENTITIES)


def test_weights_of_the_generator_loss() -> None:
    for cycle, identity in [(0.0, 0.5), (2.0, 0.0), (3.0, 2.0)]:
        objective = cyclegan(cycle_weight=cycle, identity_weight=identity)
        loss = objective.generator_loss(translators(), critics(), batch(), Noise(0))
        expected = FOOL + cycle * CYCLES + cycle * identity * IDENTITIES
        assert loss.item() == pytest.approx(expected)


def test_discriminator_loss_by_hand() -> None:
    # D_t: real (3 - 1)^2, fake 2^2. D_s: real (2 - 1)^2, fake 5^2.
    loss = cyclegan().discriminator_loss(translators(), critics(), batch(), Noise(0))
    assert loss.item() == pytest.approx(0.5 * (4 + 4) + 0.5 * (1 + 25))


def test_the_loss_is_a_mean_over_the_batch() -> None:
    objective, one, other = cyclegan(), batch(), batch((-1.0,), (0.5,))
    both = batch((3.0, -1.0), (1.0, 0.5))
    for player in ("generator_loss", "discriminator_loss"):
        first, second, mean = (
            getattr(objective, player)(translators(), critics(), b, Noise(0)).item()
            for b in (one, other, both)
        )
        assert mean == pytest.approx((first + second) / 2)


def test_discriminators_see_older_pictures() -> None:
    """A pool of one: with 0.25 < 1/2 the new fake changes places with the kept one."""

    class Always(Noise):
        def uniform(self, *shape):
            return torch.full(shape, 0.25)

    objective, generator = cyclegan(pool_size=1), translators()
    objective.discriminator_loss(generator, critics(), batch(), Noise(0))
    later = batch((1.0,), (5.0,))  # its own fakes would be F(5) = 10 and B(1) = 1.5
    loss = objective.discriminator_loss(generator, critics(), later, Always(0))
    # D_t: real (1 - 1)^2, kept fake 2^2. D_s: real (10 - 1)^2, kept fake 2.5, scored 5.
    assert loss.item() == pytest.approx(0.5 * (0 + 4) + 0.5 * (81 + 25))
    kept = {side: s["images"].flatten().tolist() for side, s in objective.state_dict().items()}
    assert kept == {"target": [10.0], "source": [1.5]}


def test_pools_are_saved_loaded_and_emptied() -> None:
    def step(objective, number):
        noise = Noise(0)
        noise.reseed("step", number)
        data = batch((float(number),), (float(-number),))
        return objective.discriminator_loss(translators(), critics(), data, noise).item()

    whole, resumed = cyclegan(pool_size=3), cyclegan(pool_size=3)
    for number in range(5):
        step(whole, number)
    resumed.load_state_dict(whole.state_dict())
    assert [step(resumed, n) for n in range(5, 25)] == [step(whole, n) for n in range(5, 25)]
    whole.reset()
    assert all(len(state["images"]) == 0 for state in whole.state_dict().values())


def gradients(network: nn.Module) -> dict[str, float]:
    return {k: p.grad.item() for k, p in network.named_parameters() if p.grad is not None}


def test_gradients_reach_the_right_networks() -> None:
    generator, discriminator = translators(), critics()
    objective = cyclegan(cycle_weight=0.0)
    objective.discriminator_loss(generator, discriminator, batch(), Noise(0)).backward()
    assert gradients(generator) == {}
    # D_t = a p + b: a: 2 * 3 + 2 * 2, b: 2 + 2. D_s: a: 1 * 1 + 5 * 2.5, b: 1 + 5.
    expected = {"target.a": 10, "target.b": 4, "source.a": 13.5, "source.b": 6}
    assert gradients(discriminator) == pytest.approx(expected)
    discriminator.zero_grad()
    with frozen([discriminator]):
        objective.generator_loss(generator, discriminator, batch(), Noise(0)).backward()
    assert gradients(discriminator) == {}
    # Through D_t: 2 (2 - 1) * 1 times (z, 1) = (1, 1); through D_s: 2 (5 - 1) * 2 times (x, 1).
    expected = {"forward_.a": 2, "forward_.b": 2, "backward_.a": 48, "backward_.b": 16}
    assert gradients(generator) == pytest.approx(expected)


def test_both_cycles_train_both_translators() -> None:
    """d |B(F(z)) - z| + d |F(B(x)) - x|, both signs +, by hand; no adversarial gradient."""
    generator = translators()
    objective = cyclegan(cycle_weight=1.0, identity_weight=0.0)
    blind = critics(0.0, 0.0)
    objective.generator_loss(generator, blind, batch(), Noise(0)).backward()
    # B(F(z)) = 0.5 (a z + b) + 1 and F(B(x)) = a 2.5 + b, in F's a and b: 0.5 + 2.5, 0.5 + 1.
    # B(F(z)) = a 2 + b and F(B(x)) = 2 (a x + b), in B's a and b: 2 + 6, 1 + 2.
    expected = {"forward_.a": 3, "forward_.b": 1.5, "backward_.a": 8, "backward_.b": 3}
    assert gradients(generator) == pytest.approx(expected)


def test_a_prepared_batch_shows_d_the_pictures_from_before_gs_step() -> None:
    objective, generator = cyclegan(), translators()
    prepared = objective.prepare(generator, batch(), Noise(0))
    loss = objective.generator_loss(generator, critics(), prepared, Noise(0))
    plain = cyclegan().generator_loss(translators(), critics(), batch(), Noise(0))
    assert torch.equal(loss, plain)
    loss.backward()
    with torch.no_grad():
        generator.get_parameter("forward_.a").fill_(100.0)
    loss = objective.discriminator_loss(generator, critics(), prepared, Noise(0))
    assert loss.item() == pytest.approx(17)  # as above, with F = 2 p


def test_schedule_is_generators_first_with_one_pass_for_both() -> None:
    early, last = batch((0.0,), (0.0,)), batch()
    turns = list(cyclegan().schedule(translators(), [early, last], Noise(0)))
    assert [player for player, _ in turns] == ["discriminator", "generator", "discriminator"]
    assert turns[0][1] is early
    assert turns[1][1] is turns[2][1]
    made = turns[1][1]["made"]
    assert (made["target"].item(), made["source"].item()) == (2.0, 2.5)
    assert all(tensor.requires_grad for tensor in made.values())


def test_networks_are_checked() -> None:
    objective = cyclegan()
    check_networks(objective, translators(), critics())
    with pytest.raises(ConfigError, match="generator=Linear is none.*network=cycle_resnet6"):
        objective.check(Linear(1.0), critics())
    with pytest.raises(ConfigError, match="CycleDiscriminator, and network.discriminator=Linear"):
        objective.check(translators(), Linear(1.0))
    with pytest.raises(ConfigError, match="Identity makes them from noise"):
        check_networks(objective, nn.Identity(), critics())
    paired = critics()
    paired.target.conditional = True
    with pytest.raises(ConfigError, match="Linear was built with conditional=true"):
        objective.check(translators(), paired)


def test_config() -> None:
    objective = instantiate(OmegaConf.load(Path(config_path(), "objective", "cyclegan.yaml")))
    assert (objective.cycle_weight, objective.identity_weight, objective.d_weight) == (10, 0.5, 0.5)
    assert {pool.size for pool in objective.pools.values()} == {50}
    assert objective.adversarial.generator(torch.tensor(3.0)).item() == 4  # no half
    assert (objective.name, objective.order) == ("cyclegan", ("generator", "discriminator"))
