"""Lifelong GAN by hand, and how translators are drawn."""

from __future__ import annotations

import copy

import pytest
import torch
from borders import begin, end
from torch import Tensor, nn

from lgan.errors import ConfigError
from lgan.launch.compose import compose_run
from lgan.methods.imitation import side_by_side
from lgan.methods.joint import Joint
from lgan.methods.lifelong_gan import Distillation, montage, swap
from lgan.methods.per_task import PerTask
from lgan.methods.sft import SFT
from lgan.networks.modes import as_in_training
from lgan.networks.roles import Translator
from lgan.networks.unet import UnetGenerator
from lgan.seeding import Noise


class Scripted(Noise):
    """Hands out prepared integers, one call after the other."""

    def __init__(self, *rows: list[int]) -> None:
        super().__init__(0)
        self.rows = list(rows)

    def integers(self, high: int, *shape: int) -> Tensor:
        row = self.rows.pop(0)
        assert max(row) < high
        return torch.tensor(row).view(shape)


def numbered(count: int, channels: int, side: int, factor: float = 1.0) -> Tensor:
    """Pictures whose pixels say where they are from: 100 b + 10 row + column (+ 1000 channel)."""
    parts = torch.meshgrid(*(torch.arange(n) for n in (count, channels, side, side)), indexing="ij")
    b, c, row, column = (part.float() for part in parts)
    return factor * (100 * b + 1000 * c + 10 * row + column)


# ------------------------------------------------------------------------------ auxiliary pictures


def test_montage_by_hand() -> None:
    """Two pictures of 4x4, tiles of 2x2: the tiles' sources are picture, top and left."""
    first, second = numbered(2, 1, 4), numbered(2, 2, 4, -1.0)
    script = Scripted([0, 1, 1, 0, 0, 0, 0, 1], [0, 2, 1, 0, 0, 0, 0, 1], [0, 2, 0, 1, 0, 0, 0, 2])
    a, b = montage(first, second, 2, script)
    expected = torch.tensor(
        [
            [0.0, 1, 122, 123],
            [10.0, 11, 132, 133],
            [110.0, 111, 1, 2],
            [120.0, 121, 11, 12],
        ]
    )
    assert torch.equal(a[0, 0], expected)
    assert torch.equal(a[1, 0, 2:, 2:], torch.tensor([[112.0, 113], [122, 123]]))
    assert torch.equal(b[:, :1], -a), "the same places of the same pair"
    assert torch.equal(b[:, 1], -a[:, 0] - 1000)


def test_montage_clips_tiles_that_stick_out() -> None:
    pictures = numbered(1, 1, 3)
    a, _ = montage(pictures, pictures, 2, Scripted([0] * 4, [0, 0, 1, 1], [0, 1, 0, 1]))
    assert torch.equal(a[0, 0], torch.tensor([[0.0, 1, 1], [10, 11, 11], [10, 11, 11]]))


def test_montage_of_whole_pictures_draws_pictures() -> None:
    pictures = numbered(3, 1, 4)
    a, _ = montage(pictures, pictures, 4, Scripted([2, 2, 0], [0] * 3, [0] * 3))
    assert torch.equal(a, pictures[[2, 2, 0]])


def test_montage_of_single_pixels() -> None:
    pictures = numbered(1, 1, 2)
    a, _ = montage(pictures, pictures, 1, Scripted([0] * 4, [1, 1, 0, 0], [1, 0, 1, 0]))
    assert torch.equal(a, pictures.flip(2, 3))


@pytest.mark.parametrize("patch", [0, 5])
def test_montage_refuses_a_patch_that_does_not_fit(patch) -> None:
    with pytest.raises(ConfigError, match=f"method.patch={patch}"):
        montage(numbered(1, 1, 4), numbered(1, 1, 4), patch, Noise(0))


def test_swap() -> None:
    a, b = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    assert swap(a, b)[0] is b and swap(a, b)[1] is a
    with pytest.raises(ConfigError, match="auxiliary"):
        swap(a, b[:, :1])


def test_both_kinds_are_put_together(make_translator, pairs) -> None:
    method = make_translator(Distillation, patch=2)
    method.noise.reseed(5)
    inputs, targets = method.auxiliary_pictures(pairs)
    noise = Noise(0)
    noise.reseed(5)
    a, b = montage(pairs["z"], pairs["x"], 2, noise)
    assert torch.equal(inputs, torch.cat([a, pairs["x"]]))
    assert torch.equal(targets, torch.cat([b, pairs["z"]]))


# ------------------------------------------------------------------------------------ distillation


def in_second_task(method, task: int = 1):
    """End the first tasks and begin the next."""
    for index in range(task):
        begin(end(method), index + 1)
    return method


def weights(method):
    """Return the trunk's weight, each task's last bias, and the encoder's weight or None."""
    network = method.generator.network
    translator = getattr(network, "translator", network)
    encoder = getattr(network, "encoder", None)
    heads = getattr(translator.last, "tasks", [translator.last])
    return translator.first.weight, [h.bias for h in heads], encoder and encoder.scale.weight


@pytest.mark.parametrize("last_layers", ["per_task", "shared"])
@pytest.mark.parametrize("objective", ["pix2pix", "bicyclegan"])
def test_nothing_to_distil_before_the_first_step(
    make_translator, pairs, objective, last_layers
) -> None:
    method = in_second_task(
        make_translator(Distillation, objective, last_layers=last_layers, patch=2)
    )
    assert method.distillation(pairs).item() == 0


def test_reduced_form_by_hand(make_translator, pairs) -> None:
    """Trunk from 2 to 3 under the old last layer: |3 A' + 1/2 - (2 A' + 1/2)| = mean |A'|."""
    method = in_second_task(make_translator(Distillation, auxiliary=["swap"]))
    trunk, biases, _ = weights(method)
    with torch.no_grad():
        trunk.fill_(3.0)
        biases[1].fill_(9.0)  # of the new task: no older task's output has it
    distilled = method.distillation(pairs)
    torch.testing.assert_close(distilled, pairs["x"].abs().mean())
    distilled.backward()
    torch.testing.assert_close(trunk.grad.sum(), pairs["x"].abs().mean())
    assert all(b.grad is None for b in biases), "old last layers are frozen, the new one is not met"


def test_a_shared_network_is_distilled_as_a_whole(make_translator, pairs) -> None:
    """|2 A' + 9 - (2 A' + 1/2)| = 8.5."""
    method = in_second_task(make_translator(Distillation, auxiliary=["swap"], last_layers="shared"))
    _, (bias,), _ = weights(method)
    with torch.no_grad():
        bias.fill_(9.0)
    assert method.distillation(pairs).item() == pytest.approx(8.5)
    assert torch.equal(method.network_of(0)(pairs["z"]), method.network_of(1)(pairs["z"]))


def test_older_tasks_take_turns(make_translator, pairs) -> None:
    """The snapshot's last layers differ by task, so that |(a' - a) w_task A'| tells them apart."""
    method = in_second_task(make_translator(Distillation, auxiliary=["swap"]), task=2)
    for network in (method.generator, method.snapshot):
        for factor, head in zip((1.0, 10.0, 100.0), network.network.last.tasks, strict=True):
            nn.init.constant_(head.weight, factor)
    with torch.no_grad():
        method.generator.network.first.weight.fill_(3.0)
    found = []
    for step in range(3):
        method.step = step
        found.append(method.distillation(pairs).item())
    scale = pairs["x"].abs().mean().item()
    assert found == pytest.approx([scale, 10 * scale, scale])
    method.generator(pairs["z"], pairs["y"])
    assert method.generator.network.last.shown == -1, "the current task computes again"


def test_losses_of_the_code_by_hand(make_translator, pairs) -> None:
    """G = a A' + 1/2 + sum of the code, E = e mean(.) (1, 2): a from 2 to 3, e from 1 to 1.5."""
    method = in_second_task(make_translator(Distillation, "bicyclegan", auxiliary=["swap"]))
    trunk, _, encoder = weights(method)
    with torch.no_grad():
        trunk.fill_(3.0)
        encoder.fill_(1.5)
    a, b = pairs["x"], pairs["z"]  # swapped
    method.noise.reseed(4)
    code = method.noise.normal(4, 2)
    mean_a, mean_b, rate = a.mean((1, 2, 3)), b.mean((1, 2, 3)), torch.tensor([1.0, 2.0])
    code_distance = (0.5 * mean_b[:, None] * rate).abs().mean()
    encoded = (a + (0.5 * 3 * mean_b)[:, None, None, None]).abs().mean()
    random = a.abs().mean()
    old = 2 * mean_a + 0.5 + code.sum(1)
    new = 3 * mean_a + 0.5 + code.sum(1)
    recoded = ((1.5 * new - old)[:, None] * rate).abs().mean()
    method.noise.reseed(4)
    found = method.distillation(pairs)
    torch.testing.assert_close(found, code_distance + encoded + random + recoded)


@pytest.mark.parametrize("objective", ["pix2pix", "bicyclegan"])
def test_beta_weighs_and_beta_0_is_the_objective_alone(make_translator, pairs, objective) -> None:
    losses = {}
    for beta in (0.0, 1.0, 3.0):
        method = in_second_task(make_translator(Distillation, objective, beta=beta, patch=2))
        with torch.no_grad():
            weights(method)[0].fill_(3.0)
        for player in ("generator", "discriminator"):
            method.noise.reseed(2)
            losses[player, beta] = method.loss(player, pairs)
        if not beta:
            method.noise.reseed(2)
            plain = method.objective.generator_loss(
                method.generator, method.discriminator, pairs, method.noise
            )
            assert torch.equal(losses["generator", beta], plain)
    steps = [losses["generator", b] - losses["generator", 0.0] for b in (1.0, 3.0)]
    assert steps[0] > 0.01
    torch.testing.assert_close(steps[1], 3 * steps[0])
    assert losses["discriminator", 0.0] == losses["discriminator", 3.0]


def test_the_first_task_is_the_objective_alone(make_translator, pairs) -> None:
    method = make_translator(Distillation)
    loss = method.objective.generator_loss(
        method.generator, method.discriminator, pairs, method.noise
    )
    assert torch.equal(method.loss("generator", pairs), loss)
    assert method.snapshot is None


def test_snapshot_stays_and_is_dropped(make_translator) -> None:
    method = in_second_task(make_translator(Distillation))
    assert not any(p.requires_grad for p in method.snapshot.parameters())
    with torch.no_grad():
        weights(method)[0].fill_(7.0)
    assert method.snapshot.network.first.weight.item() == 2
    end(method)
    assert method.snapshot is None and not any("snapshot" in k for k in method.state_dict())


def test_a_border_can_be_loaded(make_translator, pairs) -> None:
    for last_layers in ("per_task", "shared"):
        method = in_second_task(make_translator(Distillation, last_layers=last_layers))
        end(method)
        with torch.no_grad():
            weights(method)[0].fill_(7.0)
        loaded = make_translator(Distillation, begun=False, last_layers=last_layers)
        loaded.load_border_state(method.border_state())
        assert torch.equal(
            loaded.generate(pairs["z"], pairs["y"]), method.generate(pairs["z"], pairs["y"])
        )
        assert loaded.parameter_counts()["stored"] == (5 if last_layers == "per_task" else 3)


def test_dropout_is_the_same_on_both_sides_and_statistics_stay() -> None:
    """Equal networks with dropout and batch norm are at no distance."""
    student = UnetGenerator((3, 64, 64), 1, ngf=2, downs=6, norm="batch", dropout=True)
    teacher, before = copy.deepcopy(student), copy.deepcopy(student.state_dict())
    z = torch.randn(2, 3, 64, 64)
    taught, learnt = side_by_side(lambda g: g(z), teacher, student, torch.device("cpu"))
    assert torch.equal(taught, learnt)
    assert learnt.requires_grad and not taught.requires_grad
    assert not torch.equal(learnt, student(z)), "dropout draws anew afterwards"
    student.load_state_dict(before)
    side_by_side(lambda g: g(z), teacher, student, torch.device("cpu"))
    assert all(torch.equal(value, before[key]) for key, value in student.state_dict().items())


@pytest.mark.parametrize(
    ("knobs", "key"),
    [
        ({"auxiliary": []}, "method.auxiliary"),
        ({"objective": "cyclegan"}, "translates both ways: it distils one direction"),
    ],
)
def test_refusals(make_translator, knobs, key) -> None:
    with pytest.raises(ConfigError, match=key):
        make_translator(Distillation, **knobs)


def test_classes_are_refused(make_method) -> None:
    with pytest.raises(ConfigError, match="objective=bicyclegan or pix2pix"):
        make_method(Distillation)


# -------------------------------------------------------------------------------- drawing pictures


def test_joint_declares_that_no_task_is_told(make_translator, make_method) -> None:
    assert make_translator(Joint).declaration.endswith("not told the task")
    assert make_method(Joint).declaration == "keeps all real data"


def test_codes_of_drawn_pictures_are_the_seeds(make_translator, pairs) -> None:
    method = make_translator(SFT, "bicyclegan")
    first, second = (method.generate(pairs["z"], pairs["y"]) for _ in range(2))
    assert torch.equal(first, second)
    offsets = (first - 2 * pairs["z"] - 0.5).mean((1, 2, 3))
    noise = Noise(0)
    noise.reseed(0, "codes")
    torch.testing.assert_close(offsets, noise.normal(4, 2).sum(1))


class Shaky(Translator):
    """Batch norm, then dropout."""

    def __init__(self, image_shape, num_classes) -> None:
        super().__init__()
        self.norm, self.drop = nn.BatchNorm2d(1), nn.Dropout(0.5)

    def forward(self, z, y):
        return self.drop(self.norm(z))


def test_paper_mode_draws_as_in_training(make_translator, pairs) -> None:
    z, y = pairs["z"] + 3, pairs["y"]
    eval_, paper = (make_translator(SFT, test_mode=mode) for mode in ("eval", "paper"))
    for method in (eval_, paper):
        method.generator = Shaky(None, 1)
        method.eval()
    torch.testing.assert_close(eval_.generate(z, y), z / (1 + 1e-5) ** 0.5)
    before = copy.deepcopy(paper.generator.state_dict())
    state = torch.get_rng_state()
    drawn = paper.generate(z, y)
    # Batch statistics by hand, and each value is either dropped or doubled.
    normed = (z - z.mean()) / (z.var(unbiased=False) + 1e-5).sqrt()
    dropped = drawn == 0
    assert 8 < dropped.sum() < 56
    torch.testing.assert_close(drawn[~dropped], 2 * normed[~dropped])
    assert torch.equal(drawn, paper.generate(z, y)), "the same masks every time"
    assert all(torch.equal(v, before[k]) for k, v in paper.generator.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert not any(m.training for m in paper.generator.modules())
    assert paper.generator.norm.track_running_stats


def test_paper_mode_of_generators_kept_by_task(make_translator, pairs) -> None:
    method = make_translator(PerTask, test_mode="paper")
    method.finished.extend(Shaky(None, 1).eval() for _ in range(2))
    method.task_index = 1
    drawn = method.generate(pairs["z"], pairs["y"])
    assert (drawn == 0).any()


def test_as_in_training_gives_back_what_was_there_after_an_error() -> None:
    network = Shaky(None, 1).eval()
    with pytest.raises(RuntimeError), as_in_training(network, network):
        assert network.norm.training and network.drop.training
        raise RuntimeError
    assert not network.norm.training and not network.drop.training
    assert network.norm.track_running_stats


@pytest.mark.parametrize("mode", ["paper", "train"])
def test_test_mode_is_for_translators(make_method, make_translator, mode) -> None:
    with pytest.raises(ConfigError, match=f"training.test_mode={mode}"):
        make_method(SFT, test_mode=mode)
    with pytest.raises(ConfigError, match="training.test_mode=train"):
        make_translator(SFT, test_mode="train")


def test_a_classifier_is_there_where_classes_are_drawn(make_method, make_translator) -> None:
    kinds = (make_method(SFT), make_translator(SFT), make_method(PerTask))
    assert [method.has_classifier for method in kinds] == [True, False, False]


def test_beta_and_the_auxiliary_pictures_are_those_found_for_the_data() -> None:
    both = ["montage", "swap"]
    for data, preset, beta, auxiliary in (
        ("photos", "code", 50, ["montage"]),
        ("photos", "paper", 5, both),
        ("facades_maps", "code", 5, both),
    ):
        method = compose_run(["method=lifelong_gan", f"data={data}", f"preset={preset}"]).method
        assert (method.beta, method.auxiliary) == (beta, auxiliary)
