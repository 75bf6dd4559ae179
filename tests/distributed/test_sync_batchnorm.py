"""`sync_batchnorm` swaps norms for a fit and back: growing networks must survive it.

The synchronised layers themselves run on GPUs only.
"""

from __future__ import annotations

import pytest
import torch
from borders import begin, end
from hydra import compose, initialize_config_dir
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from torch import nn

from lgan.cli.common import config_path
from lgan.training import build

pytestmark = pytest.mark.slow

SMALL = ["data=photos", "data.splits.train_pairs=8", "network.generator.ngf=4"]


@pytest.mark.parametrize(
    "overrides", [["method=dgm_w", "data=digits"], ["method=piggyback_gan", *SMALL]]
)
def test_norms_are_swapped_and_come_back_over_two_tasks(overrides) -> None:
    with initialize_config_dir(config_path(), version_base="1.3"):
        config = compose("train", [*overrides, "data.num_tasks=2"])
    data, layers = build.build_datamodule(config), TorchSyncBatchNorm()
    method = build.build_method(config, data.image_shape, data.num_classes)
    classes = [task.classes for task in data.sequence.tasks]
    for task in range(2):
        begin(method, task, classes)
        before = {key: tensor.clone() for key, tensor in method.state_dict().items()}
        trained = {name for name, p in method.named_parameters() if p.requires_grad}
        swapped = layers.apply(method)
        assert any(isinstance(part, nn.SyncBatchNorm) for part in swapped.modules())
        assert layers.revert(swapped) is method
        assert not any(isinstance(part, nn.SyncBatchNorm) for part in method.modules())
        after = method.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)
        assert {name for name, p in method.named_parameters() if p.requires_grad} == trained
        end(method)
