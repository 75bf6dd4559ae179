from __future__ import annotations

import pytest
import torch
from borders import begin, end

from lgan.errors import ConfigError
from lgan.methods.mergan import MeRGANJTR, MeRGANRA


def in_second_task(method):
    """Let the method learn task 0 and enter task 1; then move the generator away."""
    begin(end(method), 1)
    with torch.no_grad():
        for parameter in method.generator.parameters():
            parameter.add_(0.1)
    return method


def test_snapshot_is_taken_once_per_task_and_stays(make_method) -> None:
    method = make_method(MeRGANJTR)
    before = method.generator.linear.weight.clone()
    assert method.snapshot is None
    in_second_task(method)
    assert torch.equal(method.snapshot.linear.weight, before)
    assert not any(p.requires_grad for p in method.snapshot.parameters())
    end(method)
    assert method.snapshot is None


@pytest.mark.parametrize(
    ("reduction", "weights"),
    [
        ("sum", (1.0, 1.0)),  # two old classes, two current ones: each class weighs the same
        ("mean", (1.0, 1.0)),
        ("mixture", (0.5, 0.5)),
    ],
)
def test_weights_with_as_many_old_as_current_classes(make_method, reduction, weights) -> None:
    method = in_second_task(make_method(MeRGANJTR, replay_reduction=reduction))
    assert method.replay_weights() == pytest.approx(weights)


@pytest.mark.parametrize(
    ("reduction", "weights"),
    [("sum", (1.0, 3.0)), ("mean", (1.0, 1.0)), ("mixture", (0.25, 0.75))],
)
def test_weights_of_the_fourth_class(make_method, reduction, weights) -> None:
    """One class per task, k = 3: the code's digits sum to k, LSUN's average to 1."""
    method = make_method(MeRGANJTR, replay_reduction=reduction)
    begin(method, 3, [(0,), (1,), (2,), (3,)])
    assert method.replay_weights() == pytest.approx(weights)


def test_jtr_batch(make_method, batch) -> None:
    method = in_second_task(make_method(MeRGANJTR))
    method.noise.reseed(7)
    full = method.with_replay(batch)
    assert full["y"].tolist() == [2, 3, 2, 3, 2, 3, 0, 0, 0, 1, 1, 1]  # floor(6 / 2) of each
    torch.testing.assert_close(full["weight"], torch.tensor([1 / 6] * 6 + [1 / 6] * 6))
    assert full["penalised"] == 6
    # Same noise for the snapshot's "real" and the generator's "fake".
    replayed = method.snapshot(full["z"][6:], full["y"][6:])
    assert torch.equal(full["x"][6:], replayed)


def test_jtr_loss_is_current_plus_weighted_replay(make_method, batch) -> None:
    """The code: D's and G's losses gain a second loss per old class (papers/mergan.md 2.3)."""
    method = in_second_task(make_method(MeRGANJTR))
    method.noise.reseed(7)
    full = method.with_replay(batch)
    parts = [
        {key: full[key][rows] for key in ("x", "y", "z")} for rows in (slice(0, 6), slice(6, 12))
    ]
    nets = (method.generator, method.discriminator)
    method.noise.reseed(7)
    loss = method.loss("generator", batch)
    expected = sum(method.objective.generator_loss(*nets, part, method.noise) for part in parts)
    torch.testing.assert_close(loss, expected)
    # A linear critic has the same gradient everywhere, so the penalty's noise does not matter.
    method.noise.reseed(7)
    loss = method.loss("discriminator", batch)
    current = method.objective.discriminator_loss(*nets, parts[0], method.noise)
    method.objective.penalty_weight = 0.0
    replay = method.objective.discriminator_loss(*nets, parts[1], method.noise)
    torch.testing.assert_close(loss, current + replay)


def test_classes_of_a_share_of_the_current_rows_are_learnt_from_drawn_pictures(
    make_method, batch
) -> None:
    """Of 6 current rows every second one; replays are drawn anyway, and G's loss is as ever."""
    method = in_second_task(make_method(MeRGANJTR, drawn_share=0.5))
    plain = in_second_task(make_method(MeRGANJTR))
    assert "drawn" not in plain.with_replay(batch)
    method.noise.reseed(7)
    full = method.with_replay(batch)
    assert full["drawn"].tolist() == [False, True] * 3 + [False] * 6
    losses = []
    for each in (method, plain):
        for player in ("discriminator", "generator"):
            each.noise.reseed(7)
            losses.append(each.loss(player, batch))
    torch.testing.assert_close(losses[1], losses[3])
    fake = method.generator(full["z"], full["y"])
    entropies = [
        torch.nn.functional.cross_entropy(
            method.discriminator(images)[1], full["y"], reduction="none"
        )
        for images in (full["x"], fake)
    ]
    moved = (full["weight"] * full["drawn"] * (entropies[1] - entropies[0])).sum()
    torch.testing.assert_close(losses[0] - losses[2], method.objective.class_weight * moved)


def test_full_replay_takes_a_whole_batch_of_each_class(make_method) -> None:
    method = in_second_task(make_method(MeRGANJTR, replay_samples="full"))
    assert method.replay_labels(6).tolist() == [0] * 6 + [1] * 6


def test_replays_of_more_classes_than_rows_take_turns(make_method) -> None:
    """199 old classes, 64 rows: one replay each of 64 classes; each class as often, give or take 1.

    The order is the seed's and the task's, the same for every rank.
    """
    many = [(c,) for c in range(201)]
    method, counts, first = make_method(MeRGANJTR), torch.zeros(201, dtype=torch.long), []
    begin(method, 199, many)
    for method.step in range(50):
        labels = method.replay_labels(64)
        assert len(labels) == 64 == len(labels.unique())
        counts += torch.bincount(labels, minlength=201)
        assert counts[:199].max() - counts[:199].min() <= 1
        first.append(labels.tolist())
    assert counts[199:].sum() == 0
    method.noise.world, method.step = 2, 3
    assert method.replay_labels(32).tolist() == first[3]
    method.noise.world, method.step, method.seed = 1, 0, 1
    assert method.replay_labels(64).tolist() != first[0]
    method.seed = 0
    begin(method, 200, many)
    assert method.replay_labels(64).tolist() != first[0]


def test_while_they_fit_the_batch_all_old_classes_are_replayed(make_method) -> None:
    method = begin(make_method(MeRGANJTR), 64, [(c,) for c in range(65)])
    assert method.replay_labels(64).tolist() == list(range(64))
    assert len(method.replay_labels(63)) == 63


def gradients(method, batch) -> torch.Tensor:
    """Those of both players' losses, for noise that depends on nothing, replay by replay."""
    z = torch.tensor([0.5, -1.0, 2.0])
    method.noise.normal = lambda *shape: z.expand(*shape)
    found = []
    for player, network in method.players.items():
        loss = method.loss(player, batch)
        found += torch.autograd.grad(loss, [*network.parameters()], allow_unused=True)
    return torch.cat([torch.zeros(0) if g is None else g.flatten() for g in found])


@pytest.mark.parametrize(
    ("kind", "knobs"),
    [
        (MeRGANJTR, {"replay_reduction": "sum"}),
        (MeRGANJTR, {"replay_reduction": "mean"}),
        (MeRGANJTR, {"replay_reduction": "mixture", "replay_samples": "full"}),
        (MeRGANRA, {"class_reduction": "mean", "alignment_weight": 1.0}),
        (MeRGANRA, {"class_reduction": "sum", "alignment_weight": 1.0}),
    ],
)
def test_classes_in_turn_are_expected_to_pull_as_all_at_once(make_method, batch, kind, knobs):
    """Two old classes, of which a step replays one: two steps' mean is the papers' rule."""
    batch, losses = {**batch, "z": torch.ones(6, 3)}, {}
    for limit in (None, 1):
        method = in_second_task(make_method(kind, replay_classes=limit, **knobs))
        method.objective.penalty_weight = 0.0
        steps = []
        for method.step in range(2):
            steps.append(gradients(method, batch))
        losses[limit] = steps
    assert not torch.allclose(*losses[1])
    torch.testing.assert_close(losses[None][0], losses[None][1])
    torch.testing.assert_close(sum(losses[1]) / 2, losses[None][0])


def test_paper_penalises_replays_too(make_method, batch) -> None:
    method = in_second_task(make_method(MeRGANJTR, penalise_replay=True))
    assert method.with_replay(batch)["penalised"] == 12


def alignment_by_hand(method, labels) -> torch.Tensor:
    """The sum of squares for the noise that the method draws after reseed(3)."""
    method.noise.reseed(3)
    z = method.noise.normal(len(labels), 3)
    return (method.generator(z, labels) - method.snapshot(z, labels)).square().sum()


@pytest.mark.parametrize(("class_reduction", "share"), [("mean", 0.5), ("sum", 1.0)])
def test_alignment_code_scale(make_method, class_reduction, share) -> None:
    """lambda (1/k) sum_c 0.5 SSE_c on digits, lambda sum_c 0.5 SSE_c on LSUN: no mean anywhere."""
    method = in_second_task(make_method(MeRGANRA, class_reduction=class_reduction))
    expected = 0.5 * share * alignment_by_hand(method, torch.tensor([0, 0, 0, 1, 1, 1]))
    method.noise.reseed(3)
    torch.testing.assert_close(method.alignment_loss(6), expected)


def test_alignment_code_equals_the_papers_coefficient_table() -> None:
    """Section 2.4: on MNIST at k = 1 the loss is 32.8 times the per-pixel mean squared error."""
    images, weight = torch.rand(64, 1, 32, 32), 1e-3
    code = weight * 0.5 * images.square().sum()
    assert (code / images.square().mean()).item() == pytest.approx(32.8, abs=0.05)


def test_alignment_paper_scale(make_method) -> None:
    """E over z and c ~ U{old} of the squared norm of the whole image."""
    method = in_second_task(make_method(MeRGANRA, alignment="paper"))
    method.noise.reseed(3)
    labels = method.alignment_labels(6)
    z = method.noise.normal(6, 3)
    assert set(labels.tolist()) <= {0, 1}
    expected = (method.generator(z, labels) - method.snapshot(z, labels)).square()
    method.noise.reseed(3)
    torch.testing.assert_close(method.alignment_loss(6), expected.flatten(1).sum(1).mean())


def test_alignment_only_touches_the_generator(make_method, batch) -> None:
    method = in_second_task(make_method(MeRGANRA, alignment_weight=1.0))
    plain = in_second_task(make_method(MeRGANRA, alignment_weight=0.0))
    losses = {}
    for player in ("generator", "discriminator"):
        for name, m in (("with", method), ("without", plain)):
            m.noise.reseed(3)
            losses[player, name] = m.loss(player, batch).item()
    assert losses["discriminator", "with"] == losses["discriminator", "without"]
    assert losses["generator", "with"] > losses["generator", "without"]


# ------------------------------------------------------------------------------------- translators


@pytest.mark.parametrize(("alignment", "share"), [("code", 0.5), ("paper", 0.25)])
def test_translators_are_aligned_on_the_current_inputs(
    make_translator, pairs, alignment, share
) -> None:
    """a from 2 to 2.1, last weight from 1 to 1.1, bias from 0.5 to 0.6; four pictures."""
    knobs = {"alignment": alignment, "class_reduction": "sum", "replay_samples": "full"}
    method = in_second_task(make_translator(MeRGANRA, **knobs))
    change = (2.1 * 1.1 - 2) * pairs["z"] + 0.1
    expected = share * change.square().sum()
    torch.testing.assert_close(method.picture_alignment(pairs), expected)
    # Without noise to draw, nothing else is looked at: no replays, no old labels.
    loss, weight = method.loss("generator", pairs), method.alignment_weight
    plain = method.objective.generator_loss(
        method.generator, method.discriminator, pairs, method.noise
    )
    torch.testing.assert_close(loss - plain, weight * expected, rtol=1e-2, atol=1e-4)
    assert torch.equal(
        method.loss("discriminator", pairs),
        method.objective.discriminator_loss(
            method.generator, method.discriminator, pairs, method.noise
        ),
    )


def test_both_translators_of_a_cycle_are_aligned(make_translator, pairs) -> None:
    method = in_second_task(make_translator(MeRGANRA, "cyclegan"))
    changes = [(2.1 * 1.1 - 2) * pairs[key] + 0.1 for key in ("z", "x")]
    expected = 0.5 * sum(change.square().sum() for change in changes)
    torch.testing.assert_close(method.picture_alignment(pairs), expected)


def test_translators_with_a_code_are_aligned_for_equal_codes(make_translator, pairs) -> None:
    """The code is added to the picture, so that it cancels if it is the same on both sides."""
    method = in_second_task(make_translator(MeRGANRA, "bicyclegan"))
    change = (2.1 * 1.1 - 2) * pairs["z"] + 0.1
    torch.testing.assert_close(method.picture_alignment(pairs), 0.5 * change.square().sum())


def test_replay_of_pictures_is_refused(make_translator) -> None:
    with pytest.raises(ConfigError, match="mergan_ra"):
        make_translator(MeRGANJTR)
