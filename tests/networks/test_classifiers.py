from __future__ import annotations

import pytest
import torch
from counting import count_parameters
from torch.nn import functional as F  # noqa: N812

from lgan.errors import ConfigError
from lgan.networks.classifiers import MerganMLP, MerganVGGSmall, SmallCNN


def test_parameter_counts_of_the_papers_classifiers() -> None:
    widths = (1024, 1024, 512, 256, 128, 10)
    mlp = sum((i + 1) * o for i, o in zip(widths[:-1], widths[1:], strict=True))
    assert count_parameters(MerganMLP((1, 32, 32), 10)) == mlp == 1_739_914
    channels = (3, 32, 32, 64, 64, 128, 128, 128)
    convolutions = sum((9 * i + 1) * o for i, o in zip(channels[:-1], channels[1:], strict=True))
    linears = (2048 + 1) * 512 + (512 + 1) * 128 + (128 + 1) * 10
    expected = convolutions + linears
    assert count_parameters(MerganVGGSmall((3, 32, 32), 10)) == expected == 1_550_634


@pytest.mark.parametrize("side", [8, 28, 32, 33, 64, 65, 128, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_small_cnn_takes_many_sizes(side: int, channels: int) -> None:
    classifier = SmallCNN((channels, side, side), 7, width=8)
    x = torch.rand(2, channels, side, side) * 2 - 1
    assert classifier(x).shape == (2, 7)
    assert classifier.features(x).shape == (2, classifier.feature_dim) == (2, 64)


@pytest.mark.parametrize(
    ("classifier", "shape", "feature_dim"),
    [(MerganMLP, (1, 32, 32), 128), (MerganVGGSmall, (3, 32, 32), 128), (SmallCNN, (1, 8, 8), 64)],
)
def test_logits_are_the_head_on_the_features_whatever_the_mode(
    classifier, shape, feature_dim: int
) -> None:
    torch.manual_seed(0)
    model = classifier(shape, 10)
    x = torch.rand(5, *shape) * 2 - 1
    features = model.features(x)
    assert features.shape == (5, feature_dim)
    assert model.feature_dim == feature_dim
    torch.testing.assert_close(model.head(features), model(x))
    torch.testing.assert_close(model.eval()(x)[:1], model(x[:1]), atol=1e-5, rtol=1e-4)


def test_small_cnn_learns_to_tell_bright_from_dark() -> None:
    torch.manual_seed(0)
    y = torch.arange(64) % 2
    x = torch.randn(64, 1, 8, 8) * 0.3
    x[y == 1, :, :4] += 0.7
    model = SmallCNN((1, 8, 8), 2, width=8)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert (model(x).argmax(1) == y).float().mean() > 0.95


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SmallCNN((1, 4, 4), 10), "8 pixels a side or more, .*, not 4x4"),
        (lambda: SmallCNN((1, 8, 128), 10), "not 8x128"),
        (lambda: MerganVGGSmall((3, 64, 64), 10), "made for 32x32"),
    ],
)
def test_wrong_settings_are_refused(build, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()
