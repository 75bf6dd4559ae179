"""Methods that combine by inheritance, those that do not, and a method with a plain Trainer."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import lightning as L
import pytest
import torch
from borders import begin, end
from combined import AnchoredReplay, AnchoredScholar, Both
from torch import nn

from lgan.data.datamodule import TaskSequenceDataModule
from lgan.data.digits import digits
from lgan.errors import ConfigError, RunError
from lgan.files import load_tensors, save_tensors
from lgan.layers.filter_bank import BankSettings
from lgan.methods.base import LifelongGAN
from lgan.methods.dgm import DGMa, DGMw
from lgan.methods.dgr import DGR
from lgan.methods.ewc import EWCGAN
from lgan.methods.fit import check_combination
from lgan.methods.joint import Joint
from lgan.methods.lifelong_gan import Distillation
from lgan.methods.mergan import MeRGANJTR, MeRGANRA
from lgan.methods.per_task import PerTask
from lgan.methods.piggyback import PiggybackGAN, PiggybackMask
from lgan.methods.sft import SFT
from lgan.networks.factory import NetworkFactory
from lgan.networks.mlp import MLPDiscriminator, MLPGenerator
from lgan.objectives.acgan import ACGAN
from lgan.objectives.adversarial import Wasserstein


class Solver(nn.Linear):
    """Logits that are linear in the pixels."""

    def __init__(self, image_shape, num_classes) -> None:
        super().__init__(image_shape[1] * image_shape[2], num_classes)

    def forward(self, x):
        return super().forward(x.flatten(1))


def moved(method: LifelongGAN) -> LifelongGAN:
    """Learn nothing in task 0, begin task 1 and move the generator by 0.1."""
    begin(end(method), 1)
    with torch.no_grad():
        for parameter in method.generator.parameters():
            parameter.add_(0.1)
    return method


def losses(method: LifelongGAN, batch) -> list[torch.Tensor]:
    """Return the generator's loss, then the discriminator's, from the same noise."""
    found = []
    for player in ("generator", "discriminator"):
        method.noise.reseed(3)
        found.append(method.loss(player, batch).detach())
    return found


EWC = {"ewc_weight": 3.0, "fisher_samples": 8}


def test_anchor_and_alignment_both_act(make_method, batch) -> None:
    both = moved(make_method(Both, alignment_weight=0.5, **EWC))
    anchor, alignment = (
        moved(make_method(EWCGAN, **EWC)),
        moved(make_method(MeRGANRA, alignment_weight=0.5)),
    )
    plain = losses(moved(make_method(SFT)), batch)
    penalty = 0.5 * 3.0 * (anchor.fisher * 0.1**2).sum()
    torch.testing.assert_close(both.penalty(), penalty)
    both.noise.reseed(3)
    both.noise.normal(6, 3)  # the objective's own
    distance = 0.5 * both.alignment_loss(6).detach()
    assert penalty > 0 and distance > 0
    found = losses(both, batch)
    torch.testing.assert_close(found[0], plain[0] + penalty + distance)
    torch.testing.assert_close(losses(anchor, batch)[0], plain[0] + penalty)
    torch.testing.assert_close(losses(alignment, batch)[0], plain[0] + distance)
    assert found[1] == plain[1], "the discriminator's loss is the objective's"


def test_replay_and_anchor_both_act(make_method, batch) -> None:
    both = moved(make_method(AnchoredReplay, **EWC))
    anchor, replay = moved(make_method(EWCGAN, **EWC)), moved(make_method(MeRGANJTR))
    alone, found = losses(replay, batch), losses(both, batch)
    torch.testing.assert_close(found[0], alone[0] + anchor.penalty())
    assert found[1] == alone[1]
    assert alone[0] != losses(moved(make_method(SFT)), batch)[0]


def test_an_anchor_holds_an_unconditional_generator_too(make_method, batch) -> None:
    both = moved(make_method(AnchoredScholar, solver=Solver, **EWC))
    alone = moved(make_method(DGR, solver=Solver))
    torch.testing.assert_close(losses(both, batch)[0], losses(alone, batch)[0] + both.penalty())
    # G = W z + o with one class: dD/do_i = v_i in every sample
    v = both.discriminator.score.weight.detach()[0]
    torch.testing.assert_close(both.fisher[0, -4:], v.square())
    assert both.old_generator is not None and both.penalty() > 0
    end(both)
    assert both.old_generator is None and len(both.fisher) == 1


def test_what_a_task_needed_only_does_not_outlive_it(make_method) -> None:
    both = moved(make_method(Both, **EWC))
    assert both.snapshot is not None
    end(both)
    state = both.border_state()
    assert both.snapshot is None and not any("snapshot" in name for name in state["state"])
    assert state["structure"] == {"anchors": 1}
    again = make_method(Both, **EWC)
    again.load_border_state(state)
    assert torch.equal(again.fisher, both.fisher) and torch.equal(again.anchor, both.anchor)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda s: s.update({"snapshot.linear.weight": torch.zeros(4, 3)}), "snapshot.linear.w"),
        (lambda s: s.pop("generator.linear.weight"), "generator.linear.weight"),
        (lambda s: s.update({"fisher": torch.zeros(1, 3)}), "fisher"),
    ],
    ids=["unknown", "missing", "of another shape"],
)
def test_a_border_is_loaded_strictly(make_method, change, named) -> None:
    state = end(make_method(Both, **EWC)).border_state()
    change(state["state"])
    with pytest.raises(RunError, match=rf"does not fit method=tiny.*: {named}"):
        make_method(Both, **EWC).load_border_state(state)


@pytest.mark.parametrize(
    ("bases", "reason"),
    [
        ((EWCGAN, PiggybackGAN), "EWCGAN needs one generator for all tasks, which TaskNetworks"),
        ((PiggybackGAN, MeRGANRA), "MemoryReplay needs one generator for all tasks"),
        ((EWCGAN, Distillation), "EWCGAN needs one generator for all tasks"),
        ((MeRGANRA, PerTask), "MemoryReplay needs one generator for all tasks, which PerTask"),
        ((PerTask, DGMw), "one generator for all tasks"),
        ((MeRGANJTR, DGR), "MemoryReplay needs a generator that is told the class, which DGR"),
        ((EWCGAN, Joint), "EWCGAN needs tasks that come one by one, which Joint"),
        ((PiggybackGAN, PiggybackMask), "needs the plain generator, to convert it"),
        ((DGMw, DGMa), "needs the plain generator, to convert it"),
        ((DGMw, PiggybackGAN), "needs the plain generator, to convert it"),
    ],
    ids=lambda value: "+".join(b.__name__ for b in value) if isinstance(value, tuple) else "",
)
def test_what_does_not_combine_is_refused(bases, reason) -> None:
    kind = type("Mixed", bases, {})
    with pytest.raises(ConfigError, match=f"method=mixed: .*{reason}"):
        check_combination(kind, "mixed")


def test_the_constructor_refuses_too(make_method) -> None:
    with pytest.raises(ConfigError, match="method=tiny: EWCGAN needs"):
        make_method(type("Mixed", (EWCGAN, PerTask), {}))


# ------------------------------------------------------------------------------- a plain Trainer


@pytest.fixture
def data() -> TaskSequenceDataModule:
    """Return digits in tasks of two classes, four steps each."""
    return TaskSequenceDataModule(
        digits, "digits", classes_per_task=2, num_tasks=2, batch_size=8, steps=4, draws=1
    )


def small(kind: type[LifelongGAN], **knobs) -> LifelongGAN:
    generator, discriminator = partial(MLPGenerator, width=8, z_dim=4), MLPDiscriminator
    return kind(
        name="small",
        networks=NetworkFactory(generator, partial(discriminator, width=8), (1, 8, 8), 10, seed=0),
        objective=ACGAN(Wasserstein()),
        optimizer=partial(torch.optim.Adam, lr=1e-2),
        **knobs,
    )


def fit(method: LifelongGAN, data: TaskSequenceDataModule, folder: Path) -> None:
    L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    ).fit(method, datamodule=data)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "knobs"), [(SFT, {}), (Both, EWC)])
def test_a_plain_trainer_fits_the_first_task_or_the_one_that_is_open(
    kind, knobs, data, tmp_path
) -> None:
    method = small(kind, **knobs)
    before = method.generator.state_dict()["body.0.weight"].clone()
    fit(method, data, tmp_path)
    assert (method.task_index, method.step, method.total_steps) == (0, 4, 4)
    assert not torch.equal(method.generator.state_dict()["body.0.weight"], before)
    assert method.info is None, "the task has ended"
    data.open(1)
    fit(method, data, tmp_path)
    assert (method.task_index, method.step, method.total_steps) == (1, 4, 8)


@pytest.mark.filterwarnings("ignore")
def test_going_on_from_a_border_gives_the_same_bits_and_both_penalties_act(data, tmp_path) -> None:
    whole = small(Both, **EWC)
    fit(whole, data, tmp_path)
    save_tensors(tmp_path / "task0.pt", whole.border_state())

    def second_task(method: LifelongGAN) -> dict[str, torch.Tensor]:
        data.open(1)
        fit(method, data, tmp_path)
        return method.state_dict()

    def resumed(**knobs: float) -> dict[str, torch.Tensor]:
        method = small(Both, **EWC | knobs)
        method.load_border_state(load_tensors(tmp_path / "task0.pt"))
        return second_task(method)

    expected, found = second_task(whole), resumed()
    assert expected.keys() == found.keys() and (found["fisher"] > 0).any()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    name = "generator.body.0.weight"
    for without in ({"ewc_weight": 0.0}, {"alignment_weight": 0.0}):
        assert not torch.equal(resumed(**without)[name], expected[name]), without


@pytest.mark.filterwarnings("ignore")
def test_a_plain_trainer_calls_the_callbacks_that_a_method_brings(data, tmp_path) -> None:
    method = small(PiggybackGAN, bank=BankSettings())
    for task in range(2):
        data.open(task)
        fit(method, data, tmp_path)
        assert method.generator.committed == len(method.generator.tasks) == task + 1
    assert not any(p.requires_grad for p in method.generator.parameters()), "all is frozen"


@pytest.mark.filterwarnings("ignore")
def test_a_fit_that_was_broken_off_is_begun_again(data, tmp_path, monkeypatch) -> None:
    method, expected = small(SFT), small(SFT)
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(SFT, "loss", lambda *_: 1 / 0)
        fit(method, data, tmp_path)
    assert method.info is not None
    fit(method, data, tmp_path)
    fit(expected, data, tmp_path)
    assert method.info is None and method.step == 4
    states = (method.state_dict(), expected.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])


@pytest.mark.filterwarnings("ignore")
def test_a_task_that_was_begun_already_is_not_begun_by_the_trainer(data, tmp_path) -> None:
    """As in lgan's own runs, where the runner begins and ends a task."""
    method = small(SFT)
    begun: list[int] = []
    begin = method.begin_task
    method.begin_task = lambda info: (begun.append(info.index), begin(info))  # type: ignore[method-assign]
    method.begin_task(data.open(0))
    fit(method, data, tmp_path)
    assert begun == [0] and method.step == 4
    assert method.info is not None, "who began it ends it"


def test_a_plain_trainer_needs_the_datamodule(tmp_path) -> None:
    with pytest.raises(RunError, match="fit needs datamodule="):
        fit(small(SFT), None, tmp_path)


def test_a_checkpoint_alone_makes_no_method(tmp_path) -> None:
    with pytest.raises(RunError, match=r"lgan.inference.sample.load_run\(FOLDER\)"):
        SFT.load_from_checkpoint(tmp_path / "last.ckpt")
