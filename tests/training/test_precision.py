"""Mixed precision: of the layers in training, and of nothing else."""

from __future__ import annotations

from typing import Any

import lightning as L
import pytest
import torch
from every_method import CASES, EXACT
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import nn

from lgan.errors import ConfigError
from lgan.networks.norm import ClassBatchNorm2d
from lgan.networks.translation import make_norm
from lgan.objectives.acgan import ACGAN, gradient_penalty
from lgan.objectives.adversarial import Wasserstein
from lgan.objectives.translation import mean_distance, patch_mean
from lgan.run.borders import load_border
from lgan.run.record import RunRecord
from lgan.seeding import Noise
from lgan.training import build
from lgan.training.train import build_learner, train
from lgan.training.trainer import task_trainer


def bf16() -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False)


LAYERS = [
    "classes: joint_classifier", "classes: rwalk_s", "classes: ewc_gan method.fisher_samples=4",
    "classes: per_task", "classes: dgm_w", "classes: dgm_a", "hinge: mergan_jtr",
    "least squares: mergan_ra", "cross entropy: dgr", "pix2pix: ewc_gan method.fisher_samples=4",
    "pix2pix: piggyback_gan", "pix2pix: piggyback_mask", "bicyclegan: progressive",
    "bicyclegan: lifelong_gan", "cyclegan: mergan_ra",
]  # fmt: skip
"""Those that differ in what is computed with the layers' outputs."""


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_every_method_and_objective(name: str, configure) -> None:
    folder = train(configure(*CASES[name], "trainer.precision=bf16-mixed"))
    record = RunRecord.load(folder)
    state = load_border(folder / "checkpoints/task1.pt")["state"]
    assert record.complete and all(torch.isfinite(t).all() for t in state.values())
    assert torch.bfloat16 not in {tensor.dtype for tensor in state.values()}
    if name in EXACT:
        assert record.rows[-1]["retention"][0]["exact"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "network"),
    [((1, 32, 32), "mergan32"), ((3, 64, 64), "mergan64"), ((1, 32, 32), "dgm_dcgan"),
     ((3, 32, 32), "dgm_resnet")],
)  # fmt: skip
def test_every_network_of_classes(shape: tuple[int, int, int], network: str, configure) -> None:
    settings = "data=mnist", f"network={network}", "method=sft"
    method = build.build_method(configure(*settings), shape, 10)
    batch = {"x": torch.rand(4, *shape) * 2 - 1, "y": torch.tensor([0, 1, 1, 0])}
    for player, network in method.players.items():
        with bf16():
            loss = method.loss(player, batch)
        loss.backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())


def test_the_gradient_penalty_is_in_float32() -> None:
    torch.manual_seed(0)
    networks = nn.Sequential(nn.Conv2d(1, 4, 3), nn.LeakyReLU(), nn.Conv2d(4, 1, 3), nn.Flatten())
    real, fake, weight = torch.randn(5, 1, 5, 5), torch.randn(5, 1, 5, 5), torch.full((5,), 0.2)

    def penalty() -> torch.Tensor:
        found = gradient_penalty(lambda x: (networks(x),), real, fake, weight, Noise(0))
        found.backward()
        gradients = [p.grad for p in networks.parameters() if p.grad is not None]
        networks.zero_grad()
        return torch.cat([found.detach()[None], *[g.flatten() for g in gradients]])

    plain = penalty()
    with bf16():
        assert torch.equal(penalty(), plain)


def test_losses_are_in_float32(networks, batch) -> None:
    generator, discriminator = networks.build_generator(), networks.build_discriminator()
    with bf16():
        assert discriminator(batch["x"])[0].dtype == torch.bfloat16
        for player in ("discriminator", "generator"):
            loss = ACGAN(Wasserstein()).loss(player, generator, discriminator, batch, Noise(0))
            assert loss.dtype == torch.float32
    half = torch.full((2, 1, 4, 4), 1 + 2**-7, dtype=torch.bfloat16)
    assert mean_distance(half, half * 0.5).dtype == patch_mean(torch.square, half).dtype
    # In bf16 the square of 1 + 1/128 would be 1 + 2/128.
    assert patch_mean(torch.square, half)[0].item() == (1 + 2**-7) ** 2


@pytest.mark.parametrize("norm", ["instance", "class", "batch", "plain"])
def test_statistics_of_norms_are_in_float32(norm: str) -> None:
    """Maps far from zero: in bf16 their mean would be off by a tenth of a deviation."""
    x = (torch.randn(6, 8, 8, 8, generator=torch.Generator().manual_seed(0)) / 10 + 20).bfloat16()
    y = torch.tensor([0, 1, 0, 1, 0, 1])
    settings: dict[str, Any] = {"statistics": "class" if norm == "class" else "batch"}
    layer = ClassBatchNorm2d(8, 2, conditional=norm == "batch", **settings)
    made = make_norm("instance", 8)
    inputs = (x,) if norm == "instance" else (x, y)
    module = made if norm == "instance" else layer
    with bf16():
        found = module(*inputs)
    wanted = module(x.float(), *inputs[1:])
    assert found.dtype == torch.bfloat16 and torch.equal(found, wanted.bfloat16())


@pytest.mark.parametrize(
    ("precision", "reason"),
    [
        ("64-true", "would keep the weights in a precision"),
        ("bf16-true", "choose 32-true, bf16-mixed or, on a GPU"),
        ("16-true", "would keep the weights"),
        ("16-mixed", "needs a GPU"),
    ],
)
def test_other_precisions_are_refused(precision: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"trainer.precision={precision} .*{reason}"):
        task_trainer(accelerator="cpu", precision=precision)


class Scaled(L.Trainer):
    """A Trainer in float16, with scaled losses, on the CPU."""

    def __init__(self, first_scale: float) -> None:
        scaler = torch.amp.GradScaler("cpu", init_scale=first_scale)
        super().__init__(
            accelerator="cpu",
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            plugins=[MixedPrecision("16-mixed", "cpu", scaler)],
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["classes: mergan_jtr", "classes: dgm_a"])
def test_losses_are_scaled_and_gradients_unscaled_before_anything_looks_at_them(
    name: str, configure
) -> None:
    """A scale that overflows passes steps over, until it has halved often enough."""
    config = configure(*CASES[name], "training.steps=16", "callbacks.samples=null")
    data = build.build_datamodule(config)
    method, _ = build_learner(config, data)
    largest, moved = [], [next(method.generator.parameters()).detach().clone()]
    method.clip = 0.01

    class Watch(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, *_) -> None:
            moved.append(next(method.generator.parameters()).detach().clone())
            gradients = [p.grad for p in method.generator.parameters() if p.grad is not None]
            assert not torch.is_autocast_enabled("cpu"), "what callbacks measure is in float32"
            largest.append(float(torch.stack([g.norm() for g in gradients]).norm()))
            method.check_finite(weights=True)

    trainer = Scaled(2.0**30)
    trainer.callbacks.append(Watch())
    trainer.fit(method, datamodule=data)
    assert trainer.scaler.get_scale() < 2.0**30 and method.step == 16
    assert torch.equal(moved[0], moved[1]) and not torch.equal(moved[0], moved[-1])
    if name.endswith("dgm_a"):
        assert largest[-1] <= 0.0101
