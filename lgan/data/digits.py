"""scikit-learn's embedded digits: 1,797 grey pictures of 8x8, no download."""

import torch
from sklearn.datasets import load_digits

from lgan.arguments import Count, InnerShare, PartShare, Whole
from lgan.data.images import ImageSplits, TensorImages
from lgan.data.splitting import hold_out, limit_per_class


def digits(
    root: str | None = None,
    test_fraction: InnerShare = 0.25,
    validation_fraction: PartShare = 0.1,
    seed: Whole = 0,
    train_limit_per_class: Count | None = None,
) -> ImageSplits:
    """Load the digits, uint8 ``(1, 8, 8)`` scaled from grey 0..16, in a fixed stratified split.

    `root` is ignored. The fractions are shares of each class: for testing, and of what is left for
    validation. `seed` is not the run's: runs with several seeds are measured on the same pictures.
    The limit keeps the first so many training pictures of each class.
    """
    bunch = load_digits()
    grey = torch.from_numpy(bunch.images).mul(255 / 16).round().to(torch.uint8)
    everything = TensorImages(grey.unsqueeze(1), torch.from_numpy(bunch.target))
    kept, tested = hold_out(everything.labels, test_fraction, seed)
    rest = everything.subset(kept)
    trained, validated = hold_out(rest.labels, validation_fraction, seed)
    trained = trained[limit_per_class(rest.labels[trained], train_limit_per_class)]
    parts = rest.subset(trained), rest.subset(validated), everything.subset(tested)
    return ImageSplits("digits", *parts, tuple(map(str, bunch.target_names)))
