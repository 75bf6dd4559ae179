"""Adversarial losses per sample: one small class each, chosen by config."""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor

from lgan.arguments import Positive


class AdversarialLoss(ABC):
    """Losses of each score, (B,) or maps (B, 1, h, w), the same shape out, to minimise."""

    @abstractmethod
    def real(self, score: Tensor) -> Tensor:
        """Return the discriminator's loss on real images."""

    @abstractmethod
    def fake(self, score: Tensor) -> Tensor:
        """Return the discriminator's loss on generated images."""

    def generator(self, score: Tensor) -> Tensor:
        """Return the generator's loss on its own images; here what real ones would give."""
        return self.real(score)


class Wasserstein(AdversarialLoss):
    """The critic's loss of WGAN (Arjovsky et al. 2017); use it with a gradient penalty."""

    def real(self, score: Tensor) -> Tensor:
        """Return -D(x)."""
        return -score

    def fake(self, score: Tensor) -> Tensor:
        """Return D(G(z))."""
        return score


class Hinge(AdversarialLoss):
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


class LeastSquares(AdversarialLoss):
    """LSGAN, targets 1 and 0 (Mao et al. 2017, Eq. 9, scale 1/2; CycleGAN and BicycleGAN: 1)."""

    def __init__(self, scale: Positive = 0.5) -> None:
        self.scale = scale

    def real(self, score: Tensor) -> Tensor:
        """Return scale (D(x) - 1)^2."""
        return self.scale * (score - 1).square()

    def fake(self, score: Tensor) -> Tensor:
        """Return scale D(G(z))^2."""
        return self.scale * score.square()


class BinaryCrossEntropy(AdversarialLoss):
    """The non-saturating loss of the first GAN (Goodfellow et al. 2014), on logits."""

    def real(self, score: Tensor) -> Tensor:
        """Return -log sigmoid(D(x))."""
        return F.softplus(-score)

    def fake(self, score: Tensor) -> Tensor:
        """Return -log(1 - sigmoid(D(G(z))))."""
        return F.softplus(score)
