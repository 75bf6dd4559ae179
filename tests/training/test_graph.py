"""A step that is recorded once and replayed: the same bits as a step that is taken each time."""

from __future__ import annotations

import sys

import pytest
import torch

from lgan.errors import ConfigError
from lgan.run.borders import load_border
from lgan.run.identity import identity
from lgan.seeding import Noise
from lgan.training import graph
from lgan.training.graph import GraphedStep, make_capturable
from lgan.training.train import train
from lgan.training.trainer import check_graph, task_trainer
from tests.helpers.recordings import Done, Operators

TINY = ("data=digits", "budget=smoke", "training.steps=7", "evaluation=fast")
PHOTOS = ("data=photos", "evaluation=fast")


@pytest.fixture
def record_with(monkeypatch):
    """Return a function that says what records steps, on the CPU."""
    devices = lambda *_: ["cpu"]  # noqa: E731
    adam = sys.modules["torch.optim.adam"]  # torch.optim hides it
    monkeypatch.setattr(adam, "_get_capturable_supported_devices", devices)
    # On a CPU one_hot looks at the labels, on a GPU it does not.
    one_hot = lambda y, n: y.new_zeros(*y.shape, n).scatter_(-1, y[..., None], 1)  # noqa: E731
    monkeypatch.setattr("torch.nn.functional.one_hot", one_hot)
    monkeypatch.setattr("lgan.training.trainer.check_graph", lambda *_: None)
    return lambda kind: monkeypatch.setattr(graph.StepGraphs, "recording", kind)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", ["mergan_jtr", "mergan_ra", "ewc_gan", "dgr", "piggyback_mask", "pi_s"], ids=str
)
def test_a_replayed_step_is_the_step(configure, record_with, tmp_path, method) -> None:
    borders = []
    for kind in (Done, Operators):
        record_with(kind)
        folder = tmp_path / kind.__name__
        graphs = "trainer.compile=graph", f"method={method}"
        train(configure(*TINY, *graphs, "data.num_tasks=2", f"run_dir={folder}"))
        borders.append(load_border(folder / "checkpoints/task1.pt")["state"])
    done, replayed = borders
    assert done.keys() == replayed.keys()
    assert [key for key in done if not torch.equal(done[key], replayed[key])] == []


def test_what_python_decides_in_a_step_is_seen(record_with) -> None:
    """The stand-in itself: a step that varies is not what is replayed."""
    step, weight = iter(range(9)), torch.zeros(())
    graphed = GraphedStep(lambda _: {"g": weight.add_(next(step))}, Noise(0), Operators())
    found = [float(graphed([{"x": torch.ones(1)}])["g"]) for _ in range(6)]
    assert found == [0, 1, 3, 6, 9, 12]  # not 6, 10, 15: the step that was recorded added 3


def test_a_read_by_the_host_is_refused_while_recording() -> None:
    graphed = GraphedStep(lambda b: {"g": torch.ones(int(b[0]["x"]))}, Noise(0), Operators())
    with pytest.raises(RuntimeError, match="the host may not read"):
        for _ in range(4):
            graphed([{"x": torch.ones(())}])


def test_learning_rates_and_inputs_are_read_where_they_are() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.Adam([weight], lr=0.5)
    make_capturable(optimizer, torch.device("cpu"))
    (group,) = optimizer.param_groups
    assert group["capturable"] and group["lr"] == torch.tensor(0.5)
    with pytest.raises(ConfigError, match="SGD cannot be recorded"):
        make_capturable(torch.optim.SGD([weight]), torch.device("cpu"))


@pytest.mark.parametrize(
    ("own", "says"),
    [
        (("method=dgm_w",), "does not go with method=dgm_w: its masks sharpen"),
        (("method=mergan_jtr", "method.drawn_share=.5"), "method=mergan_jtr: with method.drawn_sh"),
        (("method=lifelong_gan", *PHOTOS), "method=lifelong_gan: in each step it imitates another"),
        (("objective=cyclegan", "network=cycle_resnet6", *PHOTOS), "objective=cyclegan: its pools"),
    ],
)
def test_steps_that_vary_are_refused_before_anything_is_written(
    configure, record_with, tmp_path, own, says
) -> None:
    with pytest.raises(ConfigError, match=says):
        train(configure("data=digits", *own, "trainer.compile=graph", f"run_dir={tmp_path}/r"))
    assert not (tmp_path / "r").exists()


def test_where_nothing_can_be_recorded_it_is_refused(monkeypatch) -> None:
    with pytest.raises(ConfigError, match="trainer.accelerator=cpu: it needs a CUDA GPU"):
        task_trainer(accelerator="cpu", compile="graph")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ConfigError, match="several processes"):
        check_graph("gpu", True, "32-true")
    with pytest.raises(ConfigError, match="trainer.precision=16-mixed.*bf16-mixed does not"):
        check_graph("gpu", False, "16-mixed")
    check_graph("auto", False, "bf16-mixed")


def test_a_recorded_run_is_another_run_and_off_names_none(configure) -> None:
    plain = identity(configure())
    assert identity(configure("trainer.compile=off")) == plain
    assert identity(configure("trainer.compile=graph")) == plain | {"trainer.compile": "graph"}
