"""`import lgan`: the examples of its docstrings, the pages', and the two sorts of runs."""

from __future__ import annotations

import doctest
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from short_runs import SHORT

import lgan
from lgan import api
from lgan.errors import ConfigError, RunError
from lgan.launch import compose, extension
from lgan.reports import frame

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
TOUR = ROOT / "experiments/tour.ipynb"
FAST = [*SHORT, "data.num_tasks=null", "evaluation.classifier_training.steps=20"]
PHOTOS = ["data=photos", "data.splits.train_pairs=4", "data.splits.test_pairs=4",
          "data.splits.size=32", "data.augmentation.load_size=36", "callbacks.evaluation=null",
          "training.batch_size=2", "data.num_tasks=2", "method=full",
          "network.generator.ngf=2", "network.generator.downs=5", "network.discriminator.ndf=2",
          "network.discriminator.n_layers=1", "run_dir=outputs/photos"]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory, cache):
    """A working directory with two runs, where everything that is trained takes a second."""
    folder, whole = tmp_path_factory.mktemp("place"), compose.compose_run
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LGAN_CACHE", str(cache))
        short = {"train": FAST, "extend": []}

        def composed(asked, script="train", *more, **settings):
            return whole([*short[script], *asked], script, *more, **settings)

        for module in (api, extension):
            patch.setattr(module, "compose_run", composed)
        pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save("picture.png")
        lgan.train(["data=digits", "run_dir=outputs/digits"])
        lgan.train(["data=digits", "data.num_tasks=2", "run_dir=outputs/short"])
        lgan.train(PHOTOS)
        yield folder


@pytest.fixture
def run(place) -> lgan.Run:
    return lgan.load("outputs/digits")


FINDER = doctest.DocTestFinder()
EXAMPLES = [t for module in (api, frame) for t in FINDER.find(module) if t.examples]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda test: test.name)
def test_examples_of_docstrings(run, example) -> None:
    example.globs |= {"lgan": lgan, "np": np, "torch": torch, "run": run}
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DebugRunner(optionflags=flags)
    runner.run(example)


def pages_with_code() -> list[Path]:
    """Return README and the pages of docs/ that have Python of their own."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in pages if "```python\n" in page.read_text()]


@pytest.mark.parametrize("page", pages_with_code(), ids=lambda page: page.name)
def test_code_of_pages(place, monkeypatch, tmp_path, page) -> None:
    """All blocks of a page run, one after the other, where the runs that they name lie."""
    (tmp_path / "outputs").mkdir()
    shutil.copytree(place / "outputs/short", tmp_path / "outputs/short")
    for name in ("outputs/photos", "picture.png"):
        os.symlink(place / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for code in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.S):
        exec(code, names)
    if "images" in names:
        assert names["images"].shape == (32, 1, 8, 8) and names["images"].dtype == torch.uint8
    if "longer" in names:
        assert len(names["longer"].tasks) == 5
    if "pictures" in names:
        assert names["picture"].size == names["pictures"][1].size == (50, 40)
    if "curves" in names:
        assert names["curves"].notna().any(axis=None)


def test_one_rule_for_names_and_numbers(run) -> None:
    images, labels = run.generate(n=2)
    assert labels.tolist() == [c for c in range(10) for _ in range(2)]
    same = [{"classes": run.classes}, {"classes": range(10)}, {"classes": np.arange(10)},
            {"classes": torch.arange(10)}, {"after": "8+9"}, {"after": 4}]  # fmt: skip
    assert all(torch.equal(images, run.generate(n=2, **asked)[0]) for asked in same)
    assert run.generate(3, n=1)[1].tolist() == run.generate("3", n=1)[1].tolist() == [3]
    assert run.generate(task="2+3", n=1)[1].tolist() == run.generate(task=1, n=1)[1].tolist()
    early = run.generate(0, n=2, after="0+1")[0]
    assert not torch.equal(early, run.generate(0, n=2)[0])
    floats = run.generate(dtype="float", n=2)[0]
    assert floats.dtype == torch.float32 and floats.min() < 0
    assert torch.equal(((floats + 1) * 127.5).round().to(torch.uint8), images)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"classes": [True]}, r"classes=True has not been learnt; choose one of 0 \(0\), 1 \(1\)"),
        ({"classes": []}, "classes=.* names no class"),
        ({"classes": [10]}, "classes=10 has not been learnt"),
        ({"classes": [3], "after": 0}, r"classes=3 has not been learnt; .* 0 \(0\), 1 \(1\)\.$"),
        ({"classes": [3], "task": 1}, "task=1 and classes=... cannot be given together"),
        ({"task": "0"}, None),
        ({"task": "10"}, r"task=10 has not been learnt; choose one of 0 \(0\+1\), 1"),
        ({"after": 9}, r"after=9 has left no border file; choose one of 0 \(0\+1\)"),
        ({"n": 0}, "n=0 must be a whole number of at least 1"),
        ({"seed": None}, "seed=null must be a whole number"),
        ({"dtype": "int"}, "dtype=int must be one of uint8, float"),
    ],
)
def test_what_cannot_be_drawn_is_told(run, asked, message) -> None:
    if message is None:
        assert len(run.generate(**asked)[0])
        return
    with pytest.raises(ConfigError, match=message):
        run.generate(**asked)


def test_wrong_places_and_settings_are_told(run) -> None:
    for call, message in (
        (lambda: lgan.load("absent"), "run=absent is not a run folder"),
        (lambda: lgan.load(None), "folder=null must be a text"),
        (lambda: lgan.load(b"outputs"), "folder=b'outputs' must be a text"),
        (lambda: lgan.results(None), r"folders=\[None\] must be a list, each entry a text"),
        (lambda: lgan.results([]), r"folders=\[\] must be a list"),
        (lambda: lgan.train(None), "overrides=null must be a list, each entry a text"),
        (lambda: lgan.train(3), "overrides=3 must be a list"),
        (lambda: lgan.load("outputs/digits", device="x"), "device=x cannot be used here"),
        (lambda: lgan.load("outputs/digits", trust="x"), "trust=x must be a list"),
        (lambda: lgan.results("absent"), "folder absent does not exist"),
        (lambda: lgan.train("method=sft"), "overrides=method=sft must be a list"),
        (lambda: lgan.train(["methd=sft"]), "methd"),
        (lambda: lgan.train(["+logger.api_key=geheimnis", "~method"]), "api_key=<hidden>"),
        (lambda: lgan.train(["training.steps=-1"]), "training.steps=-1 must be"),
        (lambda: run.translate("picture.png", task=0), "draws classes from noise"),
        (lambda: run.network("x"), r"task=x has not been learnt; choose one of 0 \(0\+1\)"),
        (lambda: lgan.load("outputs/photos").generate(), "translates pictures and draws none"),
        (lambda: lgan.load("outputs/photos").translate("picture.png", 0, "x"), "fit=x must be"),
        (lambda: lgan.load("outputs/photos").translate("picture.png"), "task=... is missing"),
    ):
        with pytest.raises((ConfigError, RunError), match=message):
            call()


def test_a_network_is_a_copy(run) -> None:
    images = run.generate(n=2)[0]
    network = run.network(0)
    assert not network.training
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert torch.equal(images, run.generate(n=2)[0])


def test_results_are_tidy(run) -> None:
    frame = lgan.results("outputs")
    assert {"outputs/digits", "outputs/photos", "outputs/short"} <= {*frame.run}
    own = frame[frame.run == "outputs/digits"].reset_index(drop=True)
    assert own.equals(run.results) and not own.duplicated(["border", "task", "metric"]).any()
    matrix = run.record.matrix("accuracy_generated")
    of_tasks = own[(own.metric == "accuracy_generated") & own.task.notna()]
    assert of_tasks.value.tolist() == [value for row in matrix for value in row]
    assert (own.task.isna() | (own.task <= own.border)).all()
    last = own[(own.metric == "accuracy_generated") & (own.border == 4)]
    [overall] = last[last.task.isna()].value
    assert overall == run.record.overall("accuracy_generated")
    assert own.query("metric == 'retention.exact' and task == border").value.all()


def test_the_tour(tmp_path, cache, monkeypatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    for name in ("JUPYTER_DATA_DIR", "IPYTHONDIR"):  # no kernel of the user's own
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("LGAN_CACHE", str(cache))
    tour = nbformat.read(TOUR, as_version=4)
    cells = [cell for cell in tour.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in cells), "it is committed as it was run"
    assert "STEPS = 300" in cells[0].source
    cells[0].source = cells[0].source.replace("STEPS = 300", "STEPS = 2")
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(tour, timeout=300, kernel_name="python3", resources=place).execute()
    assert "image/png" in cells[-1].outputs[-1].data
