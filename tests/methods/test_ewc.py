from __future__ import annotations

import copy

import pytest
import torch
from borders import begin, end, info
from torch import nn
from torch.nn.utils import parameters_to_vector

from lgan.data.images import TensorImages, to_float
from lgan.errors import ConfigError
from lgan.launch.compose import compose_run
from lgan.methods.ewc import EWCGAN, sample_scores, squared_gradients
from lgan.networks.patchgan import PatchGAN
from lgan.networks.roles import Translator
from lgan.networks.unet import UnetGenerator
from lgan.seeding import Noise


def test_fisher_of_a_linear_gan_in_closed_form(make_method) -> None:
    """G = W z + o_c and D = v . x + b give dD/dW_ij = v_i z_j and dD/do_ci = v_i [c]."""
    method = make_method(EWCGAN, fisher_samples=8, fisher_batch=8)
    fisher = method.estimate_fisher(method.info)
    noise = Noise(0)
    noise.reseed(0, "fisher", 0)
    z = noise.normal(8, 3)
    v = method.discriminator.score.weight.detach()[0]
    offsets = torch.zeros(4, 4)
    offsets[:2] = 0.5 * v.square()  # classes 0 and 1 take half of the samples each
    expected = torch.cat([torch.outer(v.square(), z.square().mean(0)).flatten(), offsets.flatten()])
    torch.testing.assert_close(fisher, expected)


def test_fisher_over_several_batches_is_the_mean(make_method) -> None:
    whole, parts = (
        make_method(EWCGAN, fisher_samples=12, fisher_batch=size).estimate_fisher(
            info(0, [(0, 1), (2, 3)])
        )
        for size in (12, 5)
    )
    torch.testing.assert_close(whole, parts)


def test_squared_mean_gradient_is_another_number(make_method) -> None:
    method = make_method(EWCGAN, fisher_samples=8, fisher_batch=8, per_sample=False)
    noise = Noise(0)
    noise.reseed(0, "fisher", 0)
    z = noise.normal(8, 3)
    v = method.discriminator.score.weight.detach()[0]
    expected = torch.outer(v.square(), z.mean(0).square()).flatten()
    torch.testing.assert_close(method.estimate_fisher(method.info)[:12], expected)


def test_squared_gradients_are_per_sample() -> None:
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    x = torch.tensor([[1.0, 0.0], [2.0, 3.0], [-1.0, 1.0]])
    unused = torch.ones(1, requires_grad=True)
    total = squared_gradients(x @ w, [w, unused], chunk=2)
    torch.testing.assert_close(total, torch.tensor([1 + 4 + 1.0, 9 + 1.0, 0.0]))


def test_scores_by_mode() -> None:
    score, logits = torch.tensor([0.0]), torch.tensor([[0.0, 0.0]])
    labels = torch.tensor([1])
    assert sample_scores("score", score, logits, labels).item() == 0
    ln2 = torch.log(torch.tensor(2.0))
    torch.testing.assert_close(sample_scores("log_sigmoid", score, logits, labels), -ln2[None])
    torch.testing.assert_close(sample_scores("classifier", score, logits, labels), -ln2[None])


def learn(method, shifts) -> None:
    """End one task after another; before each, move every weight by the given shift."""
    for task, shift in enumerate(shifts):
        with torch.no_grad():
            for parameter in method.generator.parameters():
                parameter.add_(shift)
        end(begin(method, task, [(0,), (1,), (2,)]))


@pytest.mark.parametrize(("accumulate", "anchors"), [("last", 1), ("online", 1), ("separate", 3)])
def test_anchors_kept(make_method, accumulate, anchors) -> None:
    method = make_method(EWCGAN, accumulate=accumulate, fisher_samples=4)
    learn(method, [0.1, 0.2, 0.3])
    assert method.structure() == {"anchors": anchors}
    theta = parameters_to_vector(method.generator.parameters())
    torch.testing.assert_close(method.anchor[-1], theta)


def test_online_adds_up_with_decay(make_method) -> None:
    single = make_method(EWCGAN, accumulate="separate", fisher_samples=4)
    online = make_method(EWCGAN, accumulate="online", decay=0.5, fisher_samples=4)
    for method in (single, online):
        learn(method, [0.0, 0.1])
    torch.testing.assert_close(online.fisher[0], 0.5 * single.fisher[0] + single.fisher[1])


def test_penalty_by_hand(make_method) -> None:
    method = make_method(EWCGAN, ewc_weight=4.0)
    theta = parameters_to_vector(method.generator.parameters()).detach()
    method.fisher, method.anchor = torch.full((2, len(theta)), 0.5), torch.stack([theta, theta - 1])
    # Anchor 1 is where we are; anchor 2 is 1 away in each of P weights: (4 / 2) * 0.5 * P.
    assert method.penalty().item() == pytest.approx(len(theta))


def test_only_the_generator_is_anchored_and_not_in_the_first_task(make_method, batch) -> None:
    method, plain = make_method(EWCGAN, ewc_weight=1e3), make_method(EWCGAN, ewc_weight=0.0)
    method.noise.reseed(1), plain.noise.reseed(1)
    assert method.loss("generator", batch).item() == plain.loss("generator", batch).item()
    for m in (method, plain):
        learn(m, [0.0])
        with torch.no_grad():
            m.generator.linear.weight.add_(1.0)
    differences = {}
    for player in ("generator", "discriminator"):
        method.noise.reseed(1), plain.noise.reseed(1)
        differences[player] = (method.loss(player, batch) - plain.loss(player, batch)).item()
    assert differences["discriminator"] == 0
    assert differences["generator"] == pytest.approx(method.penalty().item(), rel=1e-4)


# ------------------------------------------------------------------------------------- translators


def five_pairs() -> TensorImages:
    """Return pairs of 4x4 pixels of task 1, input first."""
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (5, 6, 4, 4), generator=generator, dtype=torch.uint8)
    return TensorImages(images, torch.ones(5))


class Colours(Translator):
    """G(z) = a z + b on three channels; what it was given is remembered."""

    def __init__(self, image_shape, num_classes) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor(0.5))
        self.seen: list[torch.Tensor] = []

    def forward(self, z, y):
        assert y.tolist() == [1] * len(z)
        self.seen.append(z)
        return self.a * z + self.b


def translating(make_translator, **knobs):
    """Return EWC on the linear translator a z + b and D = v x + w z, at the end of task 1."""
    method = make_translator(EWCGAN, **knobs)
    method.generator = Colours(None, 3)
    method._make_room(0)
    return begin(method, 1, images=five_pairs())


def test_fisher_of_a_linear_translator_in_closed_form(make_translator) -> None:
    """The score is mean(v (a z + b) + w z): d/da = v mean(z), d/db = v, with v = 3."""
    method = translating(make_translator, fisher_samples=10, fisher_batch=64)
    fisher = method.estimate_fisher(method.info)
    z = to_float(five_pairs().images[:, :3])
    means = z.mean((1, 2, 3))
    torch.testing.assert_close(fisher, torch.stack([9 * means.square().mean(), torch.tensor(9.0)]))
    seen = method.generator.seen
    assert [len(part) for part in seen] == [4, 4, 2], "batches as in training, not of 64"
    order = torch.cat(seen).mean((1, 2, 3))
    torch.testing.assert_close(order[:5].sort().values, means.sort().values)
    assert torch.equal(order[:5], order[5:]), "each picture as often as the others"


def test_fisher_of_a_translators_log_sigmoid(make_translator) -> None:
    """d/db of mean(log sigmoid(s)) is v mean(sigmoid(-s)), with s = 3 (2 z + 1/2) - z."""
    method = translating(make_translator, fisher_samples=5, fisher_mode="log_sigmoid")
    z = to_float(five_pairs().images[:, :3])
    slope = torch.sigmoid(-(3 * (2 * z + 0.5) - z))
    by_a, by_b = (3 * (slope * d).mean((1, 2, 3)) for d in (z, torch.ones_like(z)))
    expected = torch.stack([by_a.square().mean(), by_b.square().mean()])
    torch.testing.assert_close(method.estimate_fisher(method.info), expected)


def test_a_task_of_translation_leaves_its_anchor(make_translator) -> None:
    method = translating(make_translator, fisher_samples=5, ewc_weight=2.0)
    end(method)
    with torch.no_grad():
        method.generator.b.add_(0.5)
    assert method.penalty().item() == pytest.approx(9 * 0.25)  # (2 / 2) * 9 * 0.5^2


def test_fisher_of_a_real_translator_leaves_no_trace(make_translator) -> None:
    """A U-Net with batch norm and dropout: finite, repeatable, running statistics untouched."""
    method = make_translator(EWCGAN, fisher_samples=3)
    shape = (3, 64, 64)
    method.generator = UnetGenerator(shape, 3, ngf=2, downs=6, norm="batch", dropout=True)
    method.discriminator = PatchGAN(shape, 3, ndf=2, n_layers=2)
    images = torch.randint(0, 256, (5, 6, 64, 64), dtype=torch.uint8)
    begin(method, 1, images=TensorImages(images, torch.ones(5)))
    before = copy.deepcopy(method.state_dict())
    state = torch.get_rng_state()
    fisher = method.estimate_fisher(method.info)
    assert torch.isfinite(fisher).all() and (fisher > 0).float().mean() > 0.5
    assert torch.equal(fisher, method.estimate_fisher(method.info))
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("knobs", "key"),
    [
        ({"fisher_mode": "classifier"}, "method.fisher_mode=classifier"),
        ({"fisher_classes": "seen"}, "method.fisher_classes=seen"),
        ({"objective": "bicyclegan"}, "a composite of .*: no picture of the first"),
        ({"objective": "cyclegan"}, "a composite of .*: no picture of the first"),
    ],
)
def test_what_a_translator_cannot_have(make_translator, knobs, key) -> None:
    with pytest.raises(ConfigError, match=key):
        make_translator(EWCGAN, **knobs)


@pytest.mark.parametrize(
    ("said", "weight"),
    [
        (["data=digits"], 1e3),
        (["data=digits", "method.fisher_mode=log_sigmoid"], 1e4),
        (["data=digits", "method.fisher_mode=classifier"], 1e4),
        (["data=digits", "preset=paper"], 1e9),
        (["data=digits", "method.ewc_weight=7"], 7),
        (["data=mnist"], 1e9),
    ],
)
def test_lambda_is_the_one_found_for_the_data_and_the_fisher(said, weight) -> None:
    assert compose_run(["method=ewc_gan", *said]).method.ewc_weight == weight
