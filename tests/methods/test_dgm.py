"""DGM: batches of the classifier, the losses, real pictures, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from borders import begin

from lgan.data.images import TensorImages, to_float
from lgan.data.memory import ExemplarMemory, herded
from lgan.errors import ConfigError
from lgan.layers.masks import Annealing, sparsity
from lgan.methods.classifier_replay import MixedReplay, StoredReplay, balanced_labels
from lgan.methods.dgm import DGMa, DGMw, fixed_statistics
from lgan.networks.dgm import DGMDiscriminator, DGMGenerator
from lgan.networks.factory import NetworkFactory
from lgan.objectives.acgan import ACGAN
from lgan.objectives.adversarial import Wasserstein
from lgan.seeding import Noise

CPU = torch.device("cpu")
TASKS = [(3,), (0,), (1, 2)]


def make(kind=DGMw, tasks=TASKS, **knobs):
    generator = partial(DGMGenerator, width=2, z_dim=8, base_side=2)
    discriminator = partial(DGMDiscriminator, width=2, base_side=2)
    method = kind(
        name="dgm",
        networks=NetworkFactory(generator, discriminator, (1, 8, 8), 4, seed=0),
        objective=ACGAN(Wasserstein(), penalty_weight=0.0),
        optimizer=partial(torch.optim.Adam, lr=1e-2, betas=(0.5, 0.999)),
        annealing=Annealing(10.0, 2),
        **knobs,
    )
    method.task_classes = list(tasks)
    return method


def enter(method, task):
    """Learn nothing in the tasks before, and enter this one."""
    for index in range(len(method.generator.tasks), task + 1):
        begin(method, index)
        if index < task:
            method.generator.commit()
    return method


def batch(labels):
    images = torch.randn(len(labels), 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return {"x": images, "y": torch.tensor(labels)}


def test_schedule_of_a_step() -> None:
    method = enter(make(), 1)
    roles = [role for role, _ in method.schedule([batch([0] * 8)])]
    assert roles == ["classifier", "discriminator", "generator"]
    method = enter(make(replay="per_class"), 2)
    roles = [role for role, _ in method.schedule([batch([1, 2] * 4)])]
    assert roles == ["classifier"] * 3 + ["discriminator", "generator"]


@pytest.mark.parametrize("replay", ["balanced", "per_class"])
def test_critic_and_generator_see_the_tasks_own_pictures_only(replay) -> None:
    """Replays are for the classifier (papers/dgm.md, 4.3)."""
    method = enter(make(replay=replay), 1)
    own = batch([0] * 8)
    parts = list(method.schedule([own, own]))
    for role, part in parts:
        assert (part is own) is (role != "classifier"), role
    assert any((part["y"] == 3).any() for role, part in parts if role == "classifier")


def test_masks_have_the_scale_of_their_step() -> None:
    method = enter(make(settle=0.25), 0)
    method.task_steps = 8
    for step in range(6):
        method.step = step
        list(method.schedule([batch([3] * 8)]))
        top, scale = method.annealing.at(step, 6)
        assert method.top == top
        assert {masks.scale for masks in method.generator.masks.values()} == {scale}


def test_a_task_ends_with_the_scale_of_its_last_adversarial_step() -> None:
    method = enter(make(settle=0.25), 0)
    method.task_steps = 8
    method.end_task(method.info)
    scale = method.annealing.at(5, 6)[1]
    assert scale != method.annealing.at(4, 6)[1]
    assert {masks.scale for masks in method.generator.masks.values()} == {scale}


def test_only_the_generators_gradients_are_clipped() -> None:
    method = enter(make(clip=0.5), 0)
    optimizers = [torch.optim.SGD(net.parameters(), lr=1.0) for net in method.players.values()]
    method._trainer = SimpleNamespace(optimizers=optimizers)
    for number, optimizer in enumerate(optimizers):
        own = [p for p in optimizer.param_groups[0]["params"] if p.requires_grad]
        for parameter in own:
            parameter.grad = torch.ones_like(parameter)
        method.on_before_optimizer_step(optimizer)
        norm = torch.cat([p.grad.flatten() for p in own]).norm()
        assert (norm.item() == pytest.approx(0.5, abs=1e-3)) is (number == 0)


def test_kept_and_stored_pictures_are_counted_by_class() -> None:
    """Of 6 pictures per class r = 1/2 keeps 3: of 4 per class now, 3/4 are real on average.

    The current task has one class, the old one two: a stored set is as large per class as now.
    """
    method = enter(make(tasks=[(3, 0), (1,)], real_ratio=0.5, replay_source="set"), 0)
    method.generator.commit()
    pictures = torch.zeros(12, 1, 8, 8, dtype=torch.uint8)
    method.memory.add(TensorImages(pictures, torch.tensor([3, 0]).repeat(6)))
    begin(method, 1, images=TensorImages(pictures[:4], torch.ones(4, dtype=torch.long)))
    method._trainer = SimpleNamespace(global_rank=0, world_size=1)
    method.on_fit_start()
    assert isinstance(method._draw, MixedReplay) and method._draw.share == 3 / 4
    stored = method._draw.draw
    assert isinstance(stored, StoredReplay)
    assert stored.classes == [3, 0] and stored.images.shape[:2] == (2, 4)


def test_the_classifier_settles_alone() -> None:
    """With settle = 1/4 of 8 steps the last two are the classifier's."""
    method = enter(make(settle=0.25), 1)
    method.task_steps = 8
    for step in range(8):
        method.step = step
        roles = [role for role, _ in method.schedule([batch([0] * 8)])]
        assert (roles == ["classifier"]) is (step >= 6)
    assert method.top == 10.0, "annealed to the end before"


def test_a_balanced_batch_has_the_same_size_and_equal_shares() -> None:
    method = enter(make(), 2)
    labels = torch.zeros(4, dtype=torch.long)
    for step in range(4):
        method.step = step
        part = method.balanced_batch(batch([1, 2] * 5))
        assert len(part["y"]) == len(part["x"]) == 10
        labels += torch.bincount(part["y"], minlength=4)
    assert (labels[3], labels[0], labels[1] + labels[2]) == (10, 10, 20)


def test_a_share_below_half_a_picture_is_not_none() -> None:
    """Two of four classes are current: a single row shows one in every second step."""
    method = enter(make(), 2)
    shown = []
    for step in range(16):
        method.step = step
        shown += method.balanced_batch(batch([1]))["y"].tolist()
    current = set(method.task_classes[2])
    assert [label in current for label in shown].count(True) == 8


def in_last_task(tasks, **knobs):
    """A method in the last of many tasks of no weights, whose replays are black."""
    method = enter(make(**knobs), 0)
    method.task_classes, method.task_index = tasks, len(tasks) - 1
    method._draw = lambda labels, noise: torch.zeros(len(labels), 1, 8, 8)
    return method


def test_a_balanced_batch_shows_the_current_class_however_many_there_are() -> None:
    """30 rows and 100 classes: over 1,000 steps 300 pictures of each, the current one's too."""
    method = in_last_task([(c,) for c in range(100)], replay_tasks=99)
    counts = torch.zeros(100)
    for method.step in range(1000):
        part = method.balanced_batch(batch([99] * 30))
        counts += torch.bincount(part["y"], minlength=100)
    assert counts.sum() == 30_000 and counts[99] == 300
    assert counts.min() >= 299 and counts.max() <= 301


@pytest.mark.parametrize("rows", [30, 32, 64, 65])
@pytest.mark.parametrize("count", [11, 62, 200])
def test_tasks_take_turns_in_balanced_batches(rows, count) -> None:
    """A step calls at most nine networks; after each round all classes have had as many replays.

    Within a round a class is ahead of another by what one call draws, at most.
    """
    method = in_last_task([(c,) for c in range(count)])
    length, own, counts = method.round_length(rows), batch([count - 1] * rows), torch.zeros(count)
    for method.step in range(3 * length):
        labels = method.balanced_batch(own)["y"]
        assert len(labels) == rows
        old = labels[labels != count - 1]
        assert len(old.unique()) <= 9
        counts += torch.bincount(labels, minlength=count)
        spread = counts[:-1].max() - counts[:-1].min()
        assert spread <= length * rows / (count - 1) + 2
        if (method.step + 1) % length == 0:
            assert spread <= 1 and abs(counts[-1] - counts.mean()) <= 1


def test_a_tasks_classes_take_their_turn_together() -> None:
    """Twelve old tasks of one to three classes, four in a step: still as many of each class."""
    sizes, tasks = [1, 2, 3] * 4 + [2], []
    for size in sizes:
        start = tasks[-1][-1] + 1 if tasks else 0
        tasks.append(tuple(range(start, start + size)))
    method = in_last_task(tasks, replay_tasks=4)
    length, task_of = method.round_length(30), {c: t for t, cs in enumerate(tasks) for c in cs}
    counts, shown = torch.zeros(26, dtype=torch.long), set()
    for method.step in range(4 * length):
        labels = method.balanced_replays(30)
        counts += torch.bincount(labels, minlength=26)
        shown.add(frozenset(task_of[label] for label in labels.tolist()))
        assert len({task_of[label] for label in labels.tolist()}) <= 6
    assert counts[24:].sum() == 0 and counts[:24].max() - counts[:24].min() <= 1
    assert len(shown) > length, "rounds are in orders of their own"


def test_turns_are_a_function_of_seed_task_and_step() -> None:
    tasks = [(c,) for c in range(62)]
    method = in_last_task(tasks)
    for method.step in range(20):
        found = method.balanced_replays(32).tolist()
    again = in_last_task(tasks)
    again.step = 19
    assert again.balanced_replays(32).tolist() == found
    again.seed = 1
    assert again.balanced_replays(32).tolist() != found


def test_up_to_as_many_old_tasks_are_all_replayed_in_each_step() -> None:
    method = in_last_task([(c,) for c in range(10)])
    assert method.round_length(32) == 1
    assert method.balanced_replays(32).tolist() == [n % 9 for n in range(29)]
    method = in_last_task([(c,) for c in range(62)], replay_source="set")
    assert method.round_length(32) == 1, "a stored set calls no network"


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_share_of_the_current_rows_is_drawn(share) -> None:
    """Rows that stay are the task's own; over 4 steps of 5 current rows, 20 * share are drawn."""
    method, own = enter(make(drawn_share=share), 2), batch([1, 2] * 5)
    method.infer = lambda network, z, labels: torch.full((len(labels), 1, 8, 8), 9.0)
    count = 0
    for method.step in range(4):
        part = method.balanced_batch(own)
        drawn = (part["x"][:5] == 9).flatten(1).all(1)
        assert torch.equal(part["x"][:5][~drawn], own["x"][:5][~drawn])
        assert torch.equal(part["y"][:5], own["y"][:5])
        count += int(drawn.sum())
    assert count == 20 * share


def test_current_rows_are_drawn_per_class_too_as_evaluation_draws() -> None:
    """With neither a change of running statistics nor of the mode."""
    method = enter(make(replay="per_class", drawn_share=1.0), 2)
    before = {key: value.clone() for key, value in method.generator.state_dict().items()}
    parts = list(method.batches_per_class(batch([1, 2] * 4)))
    assert all(
        torch.equal(value, before[key]) for key, value in method.generator.state_dict().items()
    )
    assert method.generator.training
    rows = torch.cat([part["x"] for part in parts])
    assert not any((rows == own).flatten(1).all(1).any() for own in batch([1, 2] * 4)["x"])


def test_per_class_batches_hold_one_batch_of_each_task() -> None:
    """The code: current and old batches are joined, shuffled and cut (papers/dgm.md, 4.3a)."""
    method = enter(make(replay="per_class"), 2)
    parts = list(method.classifier_batches(batch([1, 2] * 4)))
    assert [len(part["y"]) for part in parts] == [8, 8, 8]
    labels = torch.cat([part["y"] for part in parts])
    assert torch.bincount(labels).tolist() == [8, 4, 4, 8]
    assert len(set(parts[0]["y"].tolist())) > 1, "shuffled"


def test_replays_are_the_old_tasks_binary_networks() -> None:
    method = enter(make(), 1)
    labels = torch.full((5,), 3)
    drawn = method.draw_generated(labels, Noise(7))
    baked = method.generator.bake(0)
    torch.testing.assert_close(drawn, baked(Noise(7).normal(5, 8), labels))


def test_the_course_of_the_masks_is_told_from_its_bins() -> None:
    method = enter(make(), 0)
    method.generator.commit()
    fractions = [[0.0] * 5 + [1.0] + [0.0] * 4, [0.75] + [0.0] * 8 + [0.25]]
    method.evolution = [*map(torch.tensor, fractions)]
    course = method.report()["mask_evolution"]
    assert course["epochs"] == [0, 1] and course["fractions"] == fractions
    assert course["edges"] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
    assert course["nonzero"] == [1.0, 0.25], "as a mask of 1/2 and more will be binarised to one"


def test_the_classifier_sees_seen_classes_only() -> None:
    method = enter(make(), 1)
    logits = method.score_seen(batch([0] * 3)["x"])[1]
    assert torch.isinf(logits[:, [1, 2]]).all()
    assert torch.equal(logits[:, [0, 3]], method.discriminator(batch([0] * 3)["x"])[1][:, [0, 3]])
    loss = method.loss("classifier", batch([0, 3, 0]))
    raw = method.discriminator(batch([0, 3, 0])["x"])[1][:, [0, 3]]
    expected = torch.nn.functional.cross_entropy(raw, torch.tensor([0, 1, 0]))
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert method.discriminator.classify.weight.grad[[1, 2]].abs().max() == 0


def test_the_generator_pays_for_what_it_newly_takes() -> None:
    """lambda_RU * alpha * R; alpha is units now over units at the start."""
    free, taxed = (enter(make(sparsity_weight=w), 1) for w in (0.0, 2.0))
    for method in (free, taxed):
        method.noise.reseed(1)
    method = taxed
    difference = taxed.loss("generator", batch([0] * 4)) - free.loss("generator", batch([0] * 4))
    alpha = sum(method.generator.widths.values()) / sum(
        method.generator.tasks[0]["widths"].values()
    )
    assert alpha > 1 and method.alpha() == pytest.approx(alpha)
    expected = 2.0 * alpha * sparsity(method.generator.masks.values())
    torch.testing.assert_close(difference, expected)


@pytest.mark.parametrize(("task", "weight"), [(1, 0.0), (2, 1.0)])
def test_classes_of_one_task_are_told_apart_by_the_classifier(task, weight) -> None:
    assert enter(make(), task)._class_weight() == weight
    assert enter(make(generator_class_weight=0.5), task)._class_weight() == 0.5


def test_statistics_follow_the_classifier_only() -> None:
    method = enter(make(), 0)
    norm = method.discriminator.trunk[3]
    before = norm.running_mean.clone()
    for player in ("discriminator", "generator"):
        method.loss(player, batch([3] * 8))
    assert torch.equal(norm.running_mean, before)
    method.loss("classifier", batch([3] * 8))
    assert not torch.equal(norm.running_mean, before)
    with fixed_statistics(method.discriminator):
        assert norm.momentum == 0.0
    assert norm.momentum == 0.1
    method = enter(make(statistics="all"), 0)
    before = method.discriminator.trunk[3].running_mean.clone()
    method.loss("discriminator", batch([3] * 8))
    assert not torch.equal(method.discriminator.trunk[3].running_mean, before)


@pytest.mark.parametrize("reset", [True, False])
def test_the_discriminator_of_the_next_task(reset) -> None:
    method = enter(make(reset_discriminator=reset), 0)
    trunk = method.discriminator.trunk[0].weight.clone()
    score = method.discriminator.score.weight.clone()
    method = enter(method, 1) if method.generator.commit() is None else method
    assert torch.equal(method.discriminator.trunk[0].weight, trunk) is not reset
    assert not torch.equal(method.discriminator.score.weight, score)


def test_labels_go_round() -> None:
    assert balanced_labels([4, 2], 3, 0).tolist() == [4, 2, 4]
    assert balanced_labels([4, 2], 3, 3).tolist() == [2, 4, 2]


def constant(labels, noise):
    """Images that are their label."""
    return labels.float()[:, None, None, None].expand(-1, 1, 2, 2)


def test_a_stored_set_gives_each_label_its_class() -> None:
    stored = StoredReplay(constant, [5, 2], 3, Noise(0), batch=2)
    assert stored.images.shape == (2, 3, 1, 2, 2)
    drawn = stored(torch.tensor([2, 5, 5]), Noise(1))
    assert drawn[:, 0, 0, 0].tolist() == [2, 5, 5]
    stored.images = torch.arange(6.0).view(2, 3, 1, 1, 1)
    drawn = stored(torch.tensor([2, 5] * 20), Noise(1)).flatten().view(20, 2)
    assert drawn.T.unique(dim=1).shape[1] > 3, "every label has a draw of its own"
    assert set(drawn[:, 0].tolist()) == {3, 4, 5} and set(drawn[:, 1].tolist()) == {0, 1, 2}


def test_a_share_of_the_replays_is_real() -> None:
    pictures = torch.full((4, 1, 2, 2), 255, dtype=torch.uint8)
    memory = ExemplarMemory(per_class=2)
    memory.add(TensorImages(pictures, torch.tensor([0, 0, 7, 7])))
    labels = torch.tensor([0, 7]).repeat(500)
    drawn = MixedReplay(constant, memory, 0.25)(labels, Noise(0))
    real = (drawn == to_float(torch.tensor(255, dtype=torch.uint8))).flatten(1).all(1)
    assert 0.2 < real[labels == 7].float().mean() < 0.3
    assert (drawn[~real][:, 0, 0, 0] == labels[~real]).all()


def test_real_pictures_are_declared() -> None:
    assert make().declaration == ""
    assert make(real_total=10).declaration == "keeps real data (K=10)"
    assert make(real_ratio=0.5).declaration == "keeps real data (r=0.5)"
    with pytest.raises(ConfigError, match=r"real_ratio=0.5 and method.real_total=10"):
        make(real_ratio=0.5, real_total=10)


def test_real_pictures_are_chosen_by_the_discriminators_features() -> None:
    method = enter(make(tasks=[(3, 0), (1,)], real_total=5, real_choice="herding"), 0)
    method.step = 2
    pictures = torch.randint(0, 256, (12, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    images = TensorImages(pictures.byte(), torch.tensor([3, 0]).repeat(6))
    with torch.no_grad():
        seen = method.discriminator.eval().trunk(to_float(images.images))
    method.train()
    method.end_task(replace(method.info, images=images))
    best = herded(seen[images.labels == 3], 2)
    assert torch.equal(method.memory.state_dict()["3"], images.of_classes([3]).take(best))
    assert method.memory.counts == {0: 2, 3: 2} and method.training
    assert method.declaration == "keeps real data (K=5, by herding)"


def test_more_real_pictures_than_classes_are_wanted_at_once() -> None:
    with pytest.raises(ConfigError, match=r"method.real_total=3 must be at least 4, the number"):
        enter(make(real_total=3), 0)


def test_weight_decay_is_refused() -> None:
    method = enter(make(), 0)
    method.optimizer = partial(torch.optim.Adam, weight_decay=0.1)
    with pytest.raises(ConfigError, match=r"optimizer.weight_decay=0.1"):
        method.configure_optimizers()


@pytest.mark.parametrize("kind", [DGMw, DGMa])
def test_counts_are_honest(kind) -> None:
    """All tasks' norms and heads are stored; embeddings count as trained."""
    method = enter(make(kind), 1)
    optimizers = method.configure_optimizers()
    counts = method.parameter_counts()
    generator = method.generator
    assert counts["masked_weights"] == sum(p.weight.numel() for p in generator.layers.values())
    assert counts["stored"] == counts["masked_weights"] + counts["norms_heads"]
    embeddings = sum(m.embedding.numel() for m in generator.masks.values())
    current = sum(
        p.numel()
        for name in (*generator.chain.norms, "head")
        for p in generator.network.get_submodule(name).tasks[1].parameters()
    )
    assert counts["trained"] == counts["masked_weights"] + embeddings + current
    assert len(optimizers) == 2
