"""Whole runs on a pretend accelerator: nothing mixes devices, and a step does not wait for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from every_method import CASES, EXACT, WHOLE
from pretend import DEVICE, OnDevice, Pretend
from torch import nn

from lgan.callbacks.losses import LogLosses
from lgan.data.images import placed
from lgan.inference.load import load_run
from lgan.run.borders import load_border
from lgan.run.record import RunRecord
from lgan.seeding import Noise
from lgan.training import train as training
from lgan.training.train import train

ON_DEVICE = ["trainer._target_=pretend_run.pretend_trainer", "trust=[pretend_run]"]
NO_LOOKS = ["callbacks.guard.every=1000", "callbacks.losses.every=1000"]


@pytest.fixture
def device() -> Iterator[Pretend]:
    placed.cache_clear()
    with Pretend() as entered:
        yield entered
    placed.cache_clear()


class Steps(L.Callback):
    """What crossed to or from the device between the ends of two steps, by task and step."""

    def __init__(self, device: Pretend) -> None:
        self.device, self.seen = device, 0
        self.crossed: dict[tuple[int, int], list[tuple[str, str]]] = {}

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        events = self.device.events
        if pl_module.step > 1:  # the first step's part is the beginning of the fit
            self.crossed[pl_module.task_index, pl_module.step] = events[self.seen :]
        self.seen = len(events)


@pytest.fixture
def steps(device: Pretend, monkeypatch: pytest.MonkeyPatch) -> Steps:
    watch, build = Steps(device), training.build_learner

    def with_watch(*parts: Any) -> Any:
        method, callbacks = build(*parts)
        return method, [*callbacks, watch]

    monkeypatch.setattr(training, "build_learner", with_watch)
    return watch


def test_devices_do_not_mix(device: Pretend) -> None:
    layer, x = nn.Linear(3, 4).to(DEVICE), torch.randn(5, 3)
    with pytest.raises(RuntimeError, match="one device"):
        layer(x)
    loss = layer(x.to(DEVICE)).square().mean() * torch.tensor(2.0)
    loss.backward()
    gradient = layer.weight.grad
    assert isinstance(gradient, OnDevice) and gradient.device == DEVICE
    with pytest.raises(RuntimeError, match="one device"):
        torch.cat([loss[None], torch.zeros(1)])
    with pytest.raises(RuntimeError, match="one device"):
        torch.stack([loss, torch.zeros(())])
    with pytest.raises(RuntimeError, match="another device"):
        torch.randn(2, generator=torch.Generator(), device=DEVICE)
    with pytest.raises(RuntimeError, match="another device"):
        torch.randn(2, generator=torch.Generator(device=DEVICE))


@pytest.mark.parametrize(
    ("work", "kind"),
    [
        (lambda x: x.sum().item(), "read"),
        (lambda x: float(x[0]), "read"),
        (lambda x: x.tolist(), "read"),
        (lambda x: x.cpu(), "read"),
        (lambda x: x[x > 0], "read"),
        (lambda x: x.nonzero(), "read"),
        (lambda x: x.unique(), "read"),
        (lambda x: torch.zeros(4).copy_(x), "read"),
        (lambda x: torch.tensor([1, 2], device=DEVICE), "upload"),
        (lambda x: torch.ones(3).to(DEVICE), "upload"),
        (lambda x: x.copy_(torch.ones(4)), "upload"),
        (lambda x: x[[0, 2]], "upload"),
        (lambda x: x[torch.tensor([0, 2])], "upload"),
        (lambda x: x[x.argsort()] + x.mean() * 2 + torch.arange(4, device=DEVICE), None),
        (lambda x: torch.where(x > 0, x, 0.0).index_select(0, x.argsort()), None),
    ],
)
def test_what_crosses_is_noted(work: Callable, kind: str | None, device: Pretend) -> None:
    x = torch.randn(4, device=DEVICE)
    assert not device.events
    work(x)
    assert {noted for noted, _ in device.events} == ({kind} if kind else set())


def test_the_device_has_a_random_state_of_its_own(device: Pretend) -> None:
    torch.manual_seed(3)
    first = [torch.rand(2, device=DEVICE).tolist() for _ in range(2)]
    kept = torch.get_rng_state()
    torch.manual_seed(3)
    with torch.random.fork_rng([DEVICE]):
        assert torch.rand(2, device=DEVICE).tolist() == first[0]
    assert torch.rand(2, device=DEVICE).tolist() == first[0] != first[1]
    assert torch.equal(torch.get_rng_state(), kept), "the CPU's is left alone"
    noise, same = Noise(7, DEVICE), Noise(7)
    assert noise.device == DEVICE and noise.normal(3).tolist() == same.normal(3).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_every_method_and_objective(name: str, configure, steps: Steps) -> None:
    """Two tasks, their borders and samples; what a step needs stands ready on the device."""
    folder = train(configure(*CASES[name], *ON_DEVICE, *NO_LOOKS, "training.steps=3"))
    record = RunRecord.load(folder)
    assert record.complete and steps.crossed.keys() >= {(t, s) for t in (0, 1) for s in (2, 3)}
    if name in EXACT:
        assert record.rows[-1]["retention"][0]["exact"]
    assert [event for events in steps.crossed.values() for event in events] == []


@pytest.mark.slow
def test_losses_are_read_at_once_every_few_steps(configure, steps: Steps) -> None:
    looks = ["callbacks.guard.every=3", "callbacks.losses.every=4", "training.steps=9"]
    train(configure(*CASES["classes: mergan_jtr"], *ON_DEVICE, *looks, "data.num_tasks=1"))
    crossed = steps.crossed.items()
    reads = {step: [kind for kind, _ in events].count("read") for (_, step), events in crossed}
    assert reads == {step: (step % 3 == 0) + (step % 4 == 0) for step in range(2, 10)}


class Stop(Exception):
    """A crash."""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["classes: dgm_w", "pix2pix: lifelong_gan"])
def test_a_run_that_breaks_off_goes_on_to_the_same_bits(
    name: str, configure, tmp_path: Path, device: Pretend, monkeypatch
) -> None:
    """With evaluation and a checkpoint inside a task; the CPU then loads what the device saved."""
    kept = [o for o in CASES[name] if not o.startswith("callbacks.evaluation")]
    short = [
        "training.steps=4",
        "callbacks.checkpoint.every=2",
        "evaluation=fast",
        "evaluation.samples_per_class=4",
        "evaluation.classifier_training.steps=5",
    ]
    case = [*kept, *short, *ON_DEVICE]
    whole = train(configure(*case, f"run_dir={tmp_path}/whole"))
    log = LogLosses.on_train_batch_end

    def crash(self: LogLosses, trainer: L.Trainer, pl_module: Any, *rest: Any) -> None:
        log(self, trainer, pl_module, *rest)
        if (pl_module.task_index, pl_module.step) == (1, 3):
            raise Stop

    config = configure(*case, f"run_dir={tmp_path}/broken")
    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(LogLosses, "on_train_batch_end", crash)
        train(config)
    broken = train(config)
    left, right = (load_border(f / "checkpoints/task1.pt")["state"] for f in (whole, broken))
    assert left.keys() == right.keys()
    assert all(torch.equal(tensor, right[key]) for key, tensor in left.items())
    rows = [RunRecord.load(folder).rows for folder in (whole, broken)]
    assert rows[0][1]["overall"] == rows[1][1]["overall"] != {}
    method, _ = load_run(whole)
    assert all(p.device.type == "cpu" for p in method.parameters())
