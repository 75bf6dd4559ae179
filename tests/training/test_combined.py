"""A method combined from two, as a user names it in a config: a whole run, and one that resumes."""

from __future__ import annotations

import pytest
import torch
from combined import Both

from lgan.run.borders import load_border
from lgan.run.record import RunRecord
from lgan.training.train import train

OWN = [
    "method=ewc_gan",
    "method._target_=combined.Both",
    "trust=[combined]",
    "method.fisher_samples=8",
    "+method.alignment_weight=0.01",
]


class Stop(Exception):
    """A crash."""


def test_a_combined_method_is_trained_and_resumes_at_the_border(
    configure, tmp_path, monkeypatch
) -> None:
    whole = train(configure(*OWN, f"run_dir={tmp_path}/whole"))
    assert RunRecord.load(whole).complete
    config, begin = configure(*OWN, f"run_dir={tmp_path}/broken"), Both.begin_task

    def crash(self, info):
        if info.index:
            raise Stop
        begin(self, info)

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(Both, "begin_task", crash)
        train(config)
    broken = train(config)
    left, right = (load_border(f / "checkpoints" / "task1.pt")["state"] for f in (whole, broken))
    assert left.keys() == right.keys() and not any("snapshot" in name for name in left)
    assert all(torch.equal(left[name], right[name]) for name in left)
