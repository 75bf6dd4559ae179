from __future__ import annotations

import math

import pytest
import torch

from lgan.objectives.adversarial import BinaryCrossEntropy, Hinge, LeastSquares, Wasserstein

LN = math.log


@pytest.mark.parametrize(
    ("loss", "real", "fake", "generator"),
    [
        (Wasserstein(), [-2.0, 0.5], [2.0, -0.5], [-2.0, 0.5]),
        (Hinge(), [0.0, 1.5], [3.0, 0.5], [-2.0, 0.5]),
        (LeastSquares(), [0.5, 1.125], [2.0, 0.125], [0.5, 1.125]),
        (
            BinaryCrossEntropy(),
            [LN(1 + math.exp(-2)), LN(1 + math.exp(0.5))],
            [LN(1 + math.exp(2)), LN(1 + math.exp(-0.5))],
            [LN(1 + math.exp(-2)), LN(1 + math.exp(0.5))],
        ),
    ],
    ids=["wasserstein", "hinge", "least_squares", "bce"],
)
def test_losses_by_hand(loss, real, fake, generator) -> None:
    score = torch.tensor([2.0, -0.5])
    torch.testing.assert_close(loss.real(score), torch.tensor(real))
    torch.testing.assert_close(loss.fake(score), torch.tensor(fake))
    torch.testing.assert_close(loss.generator(score), torch.tensor(generator))
