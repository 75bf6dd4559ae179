"""Which pictures are worth keeping: rankings worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lgan.data.images import TensorImages
from lgan.data.memory import ExemplarMemory, herded, ranked

# Of length 5, times (1, 2, 3, 4): only directions count. Directions' mean, times 5: (3.75, 0.75).
ARMS = torch.tensor([(5.0, 0), (4, 3), (3, -4), (3, 4)]) * torch.tensor([[1.0], [2], [3], [4]])
RANKED = ("herding", "mean_of_features", "entropy", "distance")


def test_herding_by_hand() -> None:
    """Times 25, the products with w are those of the comments."""
    # w = mu: 18.75, 17.25, 8.25, 14.25 -> 0; w = 2 mu - a = (2.5, 1.5): 12.5, 14.5 -> 1;
    # w = 3 mu - a - b = (2.25, -0.75): 11.25 (taken), 6.75, 9.75, 3.75 -> 2.
    assert herded(ARMS, 3).tolist() == [0, 1, 2]
    # 0 counts again: w = (1, 0) -> 0 again; w = (-0.25, 0.75): -1.25, 1.25, -3.75, 2.25 -> 3.
    assert herded(ARMS, 3, "code").tolist() == [0, 1, 3]
    assert sorted(herded(ARMS, 4, "code").tolist()) == [0, 1, 2, 3]


def test_herding_ends_where_all_pictures_are_the_same() -> None:
    assert herded(torch.ones(3, 2), 3, "code").tolist() == [0, 1, 2]


def test_each_pick_brings_the_mean_nearest() -> None:
    features = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    units = features / features.norm(dim=1, keepdim=True)
    order = herded(features, 9).tolist()
    for k, pick in enumerate(order, 1):
        left = [i for i in range(20) if i not in order[: k - 1]]
        means = [units[[*order[: k - 1], i]].mean(dim=0) for i in left]
        distances = torch.stack([(mean - units.mean(dim=0)).norm() for mean in means])
        assert left[int(distances.argmin())] == pick


def test_other_rankings_by_hand() -> None:
    logits = torch.tensor([(9.0, 0, -torch.inf), (1, 2, -torch.inf), (0, 0, -torch.inf)])

    def order(choice: str, features: Tensor = ARMS) -> list[int]:
        return ranked(choice, features, logits, 0, 3, "paper").tolist()  # type: ignore[arg-type]

    assert order("entropy") == [2, 1, 0]
    assert order("distance") == [2, 1, 0]
    assert order("mean_of_features") == [0, 1, 3, 2]


@pytest.mark.parametrize("choice", RANKED)
def test_a_smaller_share_is_a_prefix(make_images: Callable[..., TensorImages], choice: str) -> None:
    images = make_images(3, 8)

    def view(pictures: Tensor) -> tuple[Tensor, Tensor]:
        rows = (pictures[:, 0, 0, 0] + 1) * 127.5
        logits = torch.stack([(rows * k).sin() for k in (1, 2, 3)], dim=1)
        return torch.stack([(rows * 5).cos(), (rows * 7).sin()], dim=1), logits

    def kept(rounding: str, *calls: list[int]) -> dict[str, list[int]]:
        memory = ExemplarMemory(total=8, choice=choice, rounding=rounding)  # type: ignore[arg-type]
        for classes in calls:
            memory.add(images.of_classes(classes), view=view)
        return {label: rows[:, 0, 0, 0].tolist() for label, rows in memory.state_dict().items()}

    alone, together = kept("floor", [0], [1], [2]), kept("floor", [0, 1, 2])
    assert alone == together and [*map(len, alone.values())] == [2, 2, 2]
    more = kept("ceil", [0, 1], [2])
    assert [*map(len, more.values())] == [3, 3, 3], "8 / 3 rounded up: one above the bound"
    assert all(more[label][:2] == rows for label, rows in alone.items())
    assert kept("floor", [0])["0"][:2] == alone["0"]
    with pytest.raises(ValueError, match="needs a view"):
        ExemplarMemory(total=8, choice=choice).add(images)  # type: ignore[arg-type]
