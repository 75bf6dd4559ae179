"""Pictures whose task is not known: routed, translated, left out."""

from __future__ import annotations

import json
import os
import subprocess

import numpy as np
import pytest
import torch
import warm
from PIL import Image
from torchvision.transforms.functional import to_pil_image

import lgan
from lgan.data.images import to_float
from lgan.data.pairs import INPUT, half
from lgan.data.photos import photos
from lgan.errors import ConfigError, RunError
from lgan.inference.route import REPORT, Route, translate_each
from lgan.metrics.router import FILE
from lgan.run.record import RunRecord
from lgan.training.train import train

pytestmark = pytest.mark.slow

TASKS = ["edges_to_photo", "grey_to_colour"]
TINY = ["data=photos", "method=full", "data.splits.train_pairs=12", "data.splits.test_pairs=4",
        "data.splits.size=32", "data.augmentation.load_size=36", "training.steps=2",
        "training.batch_size=2", "callbacks.evaluation=null", "network.generator.ngf=2",
        "network.generator.downs=5", "network.discriminator.ndf=2",
        "network.discriminator.n_layers=1"]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory, cache):
    """A run of two tasks, and a folder with four inputs of each and one of none."""
    from lgan.launch.compose import compose_run

    folder = tmp_path_factory.mktemp("route")
    places = [f"run_dir={folder}/run", f"paths.cache={cache}", "callbacks.progress=null"]
    train(compose_run([*TINY, *places, "data.num_tasks=2", "trainer=cpu", "evaluation=fast"]))
    inputs = half(photos(size=32, train_pairs=12, test_pairs=4, tasks=TASKS).train, INPUT)
    (folder / "in").mkdir()
    for number, row in enumerate([0, 12, 3, 15, 6, 18, 9, 21]):
        image = to_pil_image(inputs.take(torch.tensor([row]))[0])
        image.save(folder / f"in/{number}.png")
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "in/noise.png")
    return folder


def call(place, *settings: str) -> subprocess.CompletedProcess:
    command = [warm.python(), "-m", "lgan.cli.translate", f"run={place}/run", f"input={place}/in"]
    return subprocess.run([*command, *settings], capture_output=True, text=True, timeout=300)


def test_each_picture_goes_through_its_own_task(place, tmp_path) -> None:
    assert [row["overall"]["accuracy_router"] for row in RunRecord.load(place / "run").rows] == [
        1,
        1,
    ]
    done = call(place, "task=auto", f"output={tmp_path}/auto")
    assert done.returncode == 0, done.stderr
    said = "4 pictures through edges_to_photo, 4 pictures through grey_to_colour, 1 for none of"
    assert said in done.stdout and "such as noise.png, left out (reject=false" in done.stdout
    routes = json.loads((tmp_path / "auto" / REPORT).read_text())
    assert sorted(os.listdir(tmp_path / "auto")) == [*(f"{n}.png" for n in range(8)), REPORT]
    for number in range(8):
        route = routes[f"{number}.png"]
        assert route["task"] == TASKS[number % 2] and route["number"] == number % 2
        assert route["distance"] <= 1 and route["translated"]
    assert routes["noise.png"]["distance"] > 1 and not routes["noise.png"]["translated"]
    run = lgan.load(place / "run")
    for number in range(8):
        expected = run.translate(place / f"in/{number}.png", TASKS[number % 2])
        found = np.asarray(Image.open(tmp_path / f"auto/{number}.png"), dtype=int)
        assert np.abs(found - np.asarray(expected)).max() <= 1  # a batch may round otherwise


def test_what_is_for_none_can_be_taken_and_all_can_be_left_out(place, tmp_path) -> None:
    run = lgan.load(place / "run")
    file = place / "in/noise.png"
    routes = {file: run.route(file)}
    for reject in (False, True):
        output = tmp_path / str(reject)
        said = translate_each(run.translation, routes, output, "none", "png", False, reject)
        assert (output / "noise.png").exists() is not reject
        assert ("left out" in said) is reject
        with pytest.raises(ConfigError, match="exists already; add overwrite=true"):
            translate_each(run.translation, routes, output, "none", "png", False, reject)


def test_a_picture_is_routed_in_whatever_form_and_size(place) -> None:
    run = lgan.load(place / "run")
    file = place / "in/1.png"
    route = run.route(file)
    assert isinstance(route, Route) and route.known and route[:2] == ("grey_to_colour", 1)
    pixels = np.asarray(Image.open(file))
    floats = to_float(torch.tensor(pixels).permute(2, 0, 1))
    several = run.route([str(file), Image.open(file), pixels, floats])
    assert several == [route] * 4
    assert run.route(floats[None]) == [route]
    large = run.route(pixels.repeat(2, 0).repeat(2, 1))
    assert large.number == 1 and large.known
    assert len(run.route(place / "in")) == 9
    assert run.route(file, after=0).number == 0, "one task was known then"


def test_what_cannot_be_routed_is_told(place, tmp_path) -> None:
    run = lgan.load(place / "run")
    with pytest.raises(ConfigError, match="direction=backward: task=auto knows the inputs"):
        run.router(direction="backward")
    whole = (place / "run" / FILE).read_bytes()
    try:
        (place / "run" / FILE).unlink()
        with pytest.raises(RunError, match=r"is not there; .* Name the task .*: edges_to_photo, g"):
            run.route(place / "in/1.png")
    finally:
        (place / "run" / FILE).write_bytes(whole)
