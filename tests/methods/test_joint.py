"""Joint training's classes of generated images: those of the batch, or drawn from all so far."""

from __future__ import annotations

import pytest
import torch
from borders import begin

from lgan.methods.joint import Joint


@pytest.fixture
def labels(make_method, monkeypatch):
    """Return a function that gives the classes which each player's generated images are of."""

    def labels(player: str, fake_labels: str, real: torch.Tensor) -> torch.Tensor:
        method = make_method(Joint, fake_labels=fake_labels)
        begin(method, 1, [(2,), (0,), (1, 3)])
        asked = []
        draw = type(method.generator).forward
        monkeypatch.setattr(
            type(method.generator),
            "forward",
            lambda self, z, y: (asked.append(y), draw(self, z, y))[1],
        )
        batch = {"x": torch.zeros(len(real), 1, 2, 2), "y": real}
        loss = method.loss(player, batch)
        assert torch.isfinite(loss) and torch.equal(batch["y"], real), "the batch is not changed"
        return asked[0]

    return labels


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_drawn_uniformly_from_the_classes_so_far(labels, player: str) -> None:
    real = torch.zeros(4000, dtype=torch.long)
    assert torch.equal(labels(player, "batch", real), real)
    drawn = labels(player, "uniform", real)
    assert drawn.unique().tolist() == [0, 2]
    # of 4,000 fair draws; five standard deviations are 158
    assert abs(int((drawn == 2).sum()) - 2000) < 158


def test_the_classifier_learns_real_pictures_by_their_own_classes(make_method) -> None:
    """What the generated images are of changes, and where these are all the same, nothing."""
    losses = []
    for fake_labels in ("batch", "uniform"):
        method = make_method(Joint, fake_labels=fake_labels)
        begin(method, 0, [(0, 1, 2, 3)])
        with torch.no_grad():
            method.generator.offset.weight.zero_()  # generated images are the same for all classes
            method.generator.linear.weight.zero_()
        images = torch.linspace(-1, 1, 24).view(6, 1, 2, 2)
        batch = {"x": images, "y": torch.tensor([0, 0, 1, 1, 3, 3])}
        method.objective.penalty_weight = 0.0
        losses.append(method.loss("discriminator", batch).item())
    assert losses[0] == pytest.approx(losses[1])
