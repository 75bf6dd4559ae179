"""In what the rows of a table differ beside the method."""

from __future__ import annotations

import pytest

from lgan.reports.collect import collect
from lgan.reports.report import render
from lgan.reports.setups import differing, setup_of
from lgan.reports.tables import comparison_tables, latex, markdown

SMALL = {
    "network": {
        "generator": {"_target_": "lgan.networks.mlp.MLPGenerator", "_partial_": True, "width": 8},
        "discriminator": {"_target_": "lgan.networks.mlp.MLPDiscriminator", "_partial_": True},
    },
    "training": {"steps": 10, "critic_steps": 2, "batch_size": 32},
    "optimizer": {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 1e-3, "betas": [0, 0.9]},
    "method": {"init_from": None},
}
LARGE = SMALL | {
    "network": SMALL["network"]
    | {"generator": {"_target_": "lgan.networks.dgm.DGMGenerator", "base_side": None}},
    "training": {"steps": 20, "critic_steps": 2, "batch_size": 32},
}


def test_a_setup_is_what_the_config_says():
    assert setup_of(SMALL) == {
        "generator": "MLPGenerator(width=8)",
        "discriminator": "MLPDiscriminator()",
        "steps": "10",
        "critic steps": "2",
        "batch": "32",
        "optimizer": "Adam(lr=0.001, betas=[0, 0.9])",
    }


def test_nested_networks_are_named():
    translator = {"_target_": "lgan.networks.unet.UnetGenerator", "ngf": 4}
    generator = {"_target_": "lgan.networks.composite.CycleGenerator", "translator": translator}
    assert setup_of({"network": {"generator": generator}}) == {
        "generator": "CycleGenerator(translator=UnetGenerator, translator.ngf=4)"
    }


def test_a_mark_and_a_note_say_what_differs(make_run, tmp_path):
    for method, config in {"dgm": LARGE, "joint": SMALL, "sft": SMALL}.items():
        make_run(method, 0, config)
    [table] = comparison_tables(collect(tmp_path))
    assert table.titles[:2] == ["method", "differs in"] and table.keys[1] == "differs_in"
    assert [[cell.text for cell in row[:2]] for row in table.rows] == [
        ["dgm", "generator, steps"],
        ["joint", "–"],
        ["sft", "–"],
    ]
    assert table.notes[-2:] == [
        "Rows differ in more than the method; most have generator MLPGenerator(width=8); steps 10.",
        "dgm: generator DGMGenerator(); steps 20.",
    ]
    written = [markdown([table]), latex([table]), render(collect(tmp_path))]
    assert all("generator, steps" in text for text in written)


def test_where_all_agree_nothing_is_shown(make_run, tmp_path):
    make_run("joint", 0, SMALL)
    make_run("sft", 0, SMALL)
    [table] = comparison_tables(collect(tmp_path))
    assert "differs_in" not in table.keys
    assert not any("differ in more" in note for note in table.notes)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"optimizer": SMALL["optimizer"] | {"lr": 0.1}}, "optimizer"),
        ({"training": SMALL["training"] | {"critic_steps": 5}}, "critic steps"),
        ({"training": SMALL["training"] | {"batch_size": 1}}, "batch"),
        ({"method": {"init_from": "a.pth"}}, "first weights"),
        ({"objective": {"_target_": "a.ACGAN", "penalty_weight": 1.0}}, "objective"),
    ],
)
def test_each_part_is_looked_at(changed: dict, said: str):
    rows = [("a", setup_of(SMALL)), ("b", setup_of(SMALL)), ("c", setup_of(SMALL | changed))]
    texts, notes = differing(rows)
    assert texts == ["–", "–", said] and len(notes) == 2 and notes[1].startswith(f"c: {said} ")


def test_of_equally_many_the_first_is_the_measure_and_lost_configs_are_told():
    texts, notes = differing([("a", setup_of(SMALL)), ("b", setup_of(LARGE)), ("c", {})])
    assert texts == ["–", "generator, steps", "not recorded"] and len(notes) == 2
    assert differing([("a", setup_of(SMALL)), ("c", {})]) == (["–", "–"], [])
