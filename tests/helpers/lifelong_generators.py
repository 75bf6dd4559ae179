"""What tests of converted generators share: small networks, inputs, short training, retention."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from lgan.networks.dcgan import Mergan32Generator
from lgan.networks.mlp import MLPGenerator
from lgan.networks.unet import UnetGenerator

NETWORKS = {
    "unet": lambda: UnetGenerator((3, 32, 32), 1, ngf=4, downs=5, dropout=False),
    "mergan": lambda: Mergan32Generator((1, 32, 32), 4, width=4, z_dim=6),
    "mlp": lambda: MLPGenerator((1, 8, 8), 4, width=16, z_dim=6),
}
PICTURES = {"unet": (2, 3, 32, 32), "resnet": (2, 3, 16, 16), "resnet_batch": (2, 3, 16, 16)}
"""Shapes of the inputs of networks that read pictures; the others read noise."""


def inputs(kind, seed=1) -> tuple[Tensor, Tensor]:
    """Return z and y for a network of this kind."""
    shape = PICTURES.get(kind, (4, 6))
    z = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return z, torch.arange(shape[0]) % 4


def train(generator, kind, seed) -> None:
    """Two Adam steps with weight decay, in train mode: running statistics move too."""
    generator.train()
    parameters = [p for p in generator.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=0.02, weight_decay=0.1)
    for step in range(2):
        loss = (generator(*inputs(kind, 10 * seed + step)) - 0.5).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    generator.commit()


def train_tasks(generator, kind, tasks=3) -> list[Tensor]:
    """Train tasks; return what each drew at its end, and see that later ones change no bit."""
    kept: list[Tensor] = []
    for task in range(tasks):
        generator.add_task([task])
        train(generator, kind, task)
        kept.append(generator.bake(task)(*inputs(kind)))
        assert_draws(generator, kind, kept)
    return kept


def assert_draws(generator, kind, kept) -> None:
    """See that the first tasks draw these pictures, to the bit."""
    for task, pictures in enumerate(kept):
        drawn = generator.bake(task)(*inputs(kind))
        assert torch.equal(drawn, pictures), f"task {task} of {len(kept)}"


def reloaded(fresh, generator) -> Any:
    """Return a fresh generator with the shape and the tensors of another."""
    fresh.rebuild(copy.deepcopy(generator.structure()))
    fresh.load_state_dict(generator.state_dict())
    return fresh
