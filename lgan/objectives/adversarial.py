"""Adversarial losses per sample: one small class each, chosen by config."""

from __future__ import annotations

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor


class AdversarialLoss(Protocol):
    """Three losses of scores (B,), each per sample (B,), each to be minimised."""

    def real(self, score: Tensor) -> Tensor:
        """Return the discriminator's loss on real images."""
        ...

    def fake(self, score: Tensor) -> Tensor:
        """Return the discriminator's loss on generated images."""
        ...

    def generator(self, score: Tensor) -> Tensor:
        """Return the generator's loss on its own images."""
        ...


class Wasserstein:
    """The critic's loss of WGAN (Arjovsky et al. 2017); use it with a gradient penalty."""

    def real(self, score: Tensor) -> Tensor:
        """Return -D(x)."""
        return -score

    def fake(self, score: Tensor) -> Tensor:
        """Return D(G(z))."""
        return score

    def generator(self, score: Tensor) -> Tensor:
        """Return -D(G(z))."""
        return -score


class Hinge:
    """The hinge loss (Lim and Ye 2017; Miyato et al. 2018)."""

    def real(self, score: Tensor) -> Tensor:
        """Return max(0, 1 - D(x))."""
        return F.relu(1 - score)

    def fake(self, score: Tensor) -> Tensor:
        """Return max(0, 1 + D(G(z)))."""
        return F.relu(1 + score)

    def generator(self, score: Tensor) -> Tensor:
        """Return -D(G(z))."""
        return -score


class LeastSquares:
    """LSGAN with targets 1 (real) and 0 (fake), halved (Mao et al. 2017, Eq. 9)."""

    def real(self, score: Tensor) -> Tensor:
        """Return (D(x) - 1)^2 / 2."""
        return 0.5 * (score - 1).square()

    def fake(self, score: Tensor) -> Tensor:
        """Return D(G(z))^2 / 2."""
        return 0.5 * score.square()

    def generator(self, score: Tensor) -> Tensor:
        """Return (D(G(z)) - 1)^2 / 2."""
        return 0.5 * (score - 1).square()


class BinaryCrossEntropy:
    """The non-saturating loss of the first GAN (Goodfellow et al. 2014), on logits."""

    def real(self, score: Tensor) -> Tensor:
        """Return -log sigmoid(D(x))."""
        return F.softplus(-score)

    def fake(self, score: Tensor) -> Tensor:
        """Return -log(1 - sigmoid(D(G(z))))."""
        return F.softplus(score)

    def generator(self, score: Tensor) -> Tensor:
        """Return -log sigmoid(D(G(z)))."""
        return F.softplus(-score)
