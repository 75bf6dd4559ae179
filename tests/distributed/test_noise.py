"""How a global batch is shared out, by hand."""

from __future__ import annotations

import pytest
import torch

from lgan.seeding import Noise


def ranks(world: int) -> list[Noise]:
    return [Noise(3, rank=rank, world=world) for rank in range(world)]


@pytest.mark.parametrize("world", [1, 2, 4])
def test_rows_are_dealt_like_cards(world) -> None:
    whole = Noise(3).normal(8, 5)
    for rank, noise in enumerate(ranks(world)):
        assert torch.equal(noise.normal(8 // world, 5), whole[rank::world])


def test_a_part_that_starts_in_the_middle_goes_on_dealing() -> None:
    """Five rows from row 7 of a batch of 12: rows 7, 9, 11 are rank 1's, rows 8 and 10 rank 0's."""
    part = Noise(3).uniform(5)
    shares = [noise.part(5, 7).uniform(1) for noise in ranks(2)]
    assert torch.equal(shares[0], part[[1, 3]])
    assert torch.equal(shares[1], part[[0, 2, 4]])


def test_streams_stay_in_step_whatever_the_shares() -> None:
    alone = Noise(3)
    alone.normal(9, 2), alone.integers(7, 4)
    after = alone.uniform(6)
    for rank, noise in enumerate(ranks(3)):
        noise.part(9).normal(3, 2)
        assert noise.whole().integers(7, 4).shape == (4,)
        assert torch.equal(noise.uniform(2), after[rank::3])


def test_one_process_has_the_numbers_it_always_had() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = Noise(0)
    noise.generator.manual_seed(0)
    assert torch.equal(noise.part(6).normal(6, 2), torch.randn(6, 2, generator=generator))
