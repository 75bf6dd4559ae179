"""Exports as pix2pix's own code loads them: strictly, into what define_G builds."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import define_g as official
import pytest
import torch
from torch import nn

from lgan.inference.export import describe, export
from lgan.inference.formats import known_formats
from lgan.inference.task_network import TaskNetwork
from lgan.networks.pretrained import (
    advice,
    define_g,
    load_fitting,
    read_checkpoint,
    recognise,
)
from lgan.networks.resnet_translator import ResnetTranslator
from lgan.networks.unet import UnetGenerator
from lgan.training.build import make

SHAPE = (3, 256, 256)


def unet_keys(downs: int, bias: bool) -> set[str]:
    """Keys of pix2pix's UnetGenerator with batch norm, written from its code's nesting."""
    keys, where = set(), "model."
    for level in range(downs):
        outer, inner = level == 0, level == downs - 1
        down = f"{where}model.{0 if outer else 1}"
        up = f"{where}model.{3 if outer or inner else 5}"
        keys |= {f"{down}.weight", f"{up}.weight"}
        keys |= {f"{each}.bias" for each in (down, up) if bias or (outer and each == up)}
        norms = [] if outer else [4 if inner else 6] if inner else [2, 6]
        entries = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        keys |= {f"{where}model.{norm}.{entry}" for norm in norms for entry in entries}
        where += f"model.{1 if outer else 3}."
    return keys


@pytest.mark.parametrize("downs", [7, 8])
def test_a_unet_without_biases_has_the_keys_of_define_g(downs: int) -> None:
    network = UnetGenerator(SHAPE, 1, ngf=1, downs=downs, bias=False)
    assert network.state_dict().keys() == unet_keys(downs, bias=False)
    assert define_g(network.state_dict()) == {
        "input_nc": 3, "output_nc": 3, "ngf": 1, "netG": f"unet_{2**downs}", "norm": "batch",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("network", "found"),
    [
        (partial(UnetGenerator, downs=8), None),
        (partial(UnetGenerator, downs=6, bias=False), None),
        (partial(UnetGenerator, downs=8, norm="none", bias=False), "none"),
        (partial(UnetGenerator, downs=8, norm="instance"), "instance"),
        (partial(ResnetTranslator, blocks=6, norm="instance", bias=True), "instance"),
        (partial(ResnetTranslator, blocks=9, norm="batch", bias=False), "batch"),
        (partial(ResnetTranslator, blocks=9, norm="batch", bias=True), None),
        (partial(ResnetTranslator, blocks=3, norm="instance", bias=True), None),
    ],
)
def test_define_g_is_named_where_it_fits(network, found) -> None:
    assert define_g(network(SHAPE, 1, ngf=1).state_dict()).get("norm") == found


def test_the_file_is_written_or_refused_by_name(tmp_path: Path) -> None:
    for bias in (False, True):
        fresh = partial(UnetGenerator, (3, 128, 128), 1, ngf=1, downs=7, bias=bias)
        network = fresh().eval()
        task = TaskNetwork(0, "a", network, ("picture",), (0,), (3, 128, 128), 128, 128)
        formats = {"pix2pix": known_formats(fresh)["pix2pix"]}
        row = export(task, formats, tmp_path / str(bias))["pix2pix"]
        if bias:
            assert "unless network.generator.bias " in row["refused"]
            assert "define_G" not in describe(task)
            continue
        assert row["difference"] == 0
        state = torch.load(tmp_path / "False" / "latest_net_G.pth", weights_only=True)
        assert state.keys() == unet_keys(7, bias=False)
        said = describe(task)["define_G"]
        assert said["netG"] == "unet_128" and said["use_dropout"] is True


@pytest.mark.parametrize("norm", [None, "batch", "instance", "none"])
@pytest.mark.parametrize("network", ["unet128", "unet256", "resnet9", "cycle_resnet6"])
def test_a_default_export_loads_strictly_where_define_g_built_it(
    network, norm, configure, tmp_path: Path
) -> None:
    key = "network.generator" + (".translator" if network.startswith("cycle") else "")
    norms = [f"{key}.norm={norm}"] if norm else []
    config = configure("data=photos", f"network={network}", f"{key}.ngf=1", *norms)
    side = 128 if network == "unet128" else 256
    fresh = partial(make(config, key), (3, side, side), 1)
    own = fresh().eval()
    task = TaskNetwork(0, "a", own, ("picture",), (0,), (3, side, side), side, side)
    row = export(task, {"pix2pix": known_formats(fresh)["pix2pix"]}, tmp_path)["pix2pix"]
    assert row.get("difference") == 0, row
    theirs = official.define_g(**describe(task)["define_G"]).eval()
    theirs.load_state_dict(torch.load(tmp_path / "latest_net_G.pth", weights_only=True))
    x = torch.rand(1, 3, side, side) * 2 - 1
    with torch.no_grad():
        assert torch.equal(own(x), theirs(x))
    started = fresh().eval()
    load_fitting(started, read_checkpoint(tmp_path / "latest_net_G.pth"))
    assert all(torch.equal(started.state_dict()[k], v) for k, v in theirs.state_dict().items())


def test_neither_norms_nor_biases_mean_none() -> None:
    plain: nn.Module = UnetGenerator(SHAPE, 1, ngf=1, downs=8, norm="none", bias=False)
    assert recognise(plain.state_dict())["norm"] == "none"


def test_channels_are_told_where_pairs_can_have_them() -> None:
    for build in (partial(ResnetTranslator, blocks=1), partial(UnetGenerator, downs=8)):
        mixed = advice(build(SHAPE, 1, ngf=1, input_channels=1).state_dict())
        assert "input_channels=1" not in mixed
        assert mixed.endswith("It makes 3 channels of 1; pairs have 1 or 3 on both sides.")
        both = advice(build((1, 256, 256), 1, ngf=1).state_dict())
        assert both.endswith("Its pictures are grey: data.splits.channels=1.")
        assert advice(build(SHAPE, 1, ngf=1).state_dict()).endswith("(keys of network.generator).")
