"""Finished runs at work: folders of pictures translated, tasks exported, netG files imported."""

from __future__ import annotations

import json
import os
import subprocess
from functools import partial

import numpy as np
import pytest
import torch
import warm
from borders import begin
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from lgan.errors import ConfigError, DataError, RunError
from lgan.inference.export import describe, example_inputs, export, largest_difference
from lgan.inference.formats import Format, known_formats
from lgan.inference.load import load_run
from lgan.inference.task_network import TaskNetwork, find_task, task_network
from lgan.inference.translate import Translation, check_output, list_pictures, plan, read, translate
from lgan.networks.bicycle import BicycleEncoder, BicycleUnet
from lgan.networks.composite import BicycleGenerator, CycleGenerator
from lgan.networks.pretrained import initialise, load_fitting, read_checkpoint, recognise
from lgan.networks.resnet_translator import ResnetTranslator
from lgan.networks.unet import UnetGenerator
from lgan.run.identity import fingerprint, identity
from lgan.training.build import build_method
from lgan.training.train import train

pytestmark = pytest.mark.slow

PHOTOS = [
    "data=photos",
    "data.splits.train_pairs=4",
    "data.splits.test_pairs=4",
    "data.splits.size=32",
    "data.augmentation.load_size=36",
    "training.steps=2",
    "training.batch_size=2",
    "callbacks.evaluation=null",
]
UNET = ["network.generator.ngf=2", "network.generator.downs=5", "network.discriminator.ndf=2",
        "network.discriminator.n_layers=1"]  # fmt: skip
CYCLE = ["objective=cyclegan", "network=cycle_resnet6", "data.paired=false",
         "network.generator.translator.ngf=2", "network.generator.translator.blocks=1",
         "network.discriminator.patch.ndf=2", "network.discriminator.patch.n_layers=1"]  # fmt: skip
BICYCLE = ["objective=bicyclegan", "network=bicycle128",
           "network.generator.translator.ngf=2", "network.generator.translator.downs=5",
           "network.generator.encoder.ndf=2", "network.generator.encoder.blocks=3",
           "network.discriminator.patch.ndf=2",
           "network.discriminator.patch.n_layers=1"]  # fmt: skip
TORCH = ["safetensors", "torch_export", "torchscript"]


@pytest.fixture
def run(configure):
    """Return what trains a tiny run of photos and gives its folder."""
    return lambda *overrides: train(configure(*PHOTOS, *(overrides or UNET)))


@pytest.fixture
def unet() -> TaskNetwork:
    network = filled(UnetGenerator((3, 32, 32), 1, ngf=2, downs=5)).eval()
    return TaskNetwork(0, "edges", network, ("picture",), (0,), (3, 32, 32), 32, 32)


def filled(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give every tensor other values than a fresh network has, so that none can be forgotten."""
    source = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            values = torch.rand(tensor.shape, generator=source)
            tensor.copy_(values + 0.5 if name.endswith("running_var") else values - 0.5)
    return network


def picture(path, height: int, width: int, seed: int = 0) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)


def call(module: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [warm.python(), "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def opened(run, task=0, direction="forward") -> TaskNetwork:
    method, border = load_run(run)
    return task_network(method, border, find_task(border, task), direction)


# --------------------------------------------------------------------------------------- translate


def test_a_folder_goes_through_the_network(tmp_path, unet) -> None:
    for name, seed in (("a.png", 0), ("b.png", 1), ("c.bmp", 2)):
        picture(tmp_path / "in" / name, 32, 64 if name == "b.png" else 32, seed)
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    pictures = plan(unet, list_pictures(tmp_path / "in"), tmp_path / "out", "none", None)
    translate(Translation(unet, batch_size=2), pictures)
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "b.png", "c.bmp"]
    for name in ("a.png", "b.png", "c.bmp"):
        pixels = np.array(Image.open(tmp_path / "in" / name)).astype(np.float32)
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.no_grad():
            expected = ((unet.network(x)[0] + 1) * 127.5).round().clamp(0, 255).permute(1, 2, 0)
        written = np.array(Image.open(tmp_path / "out" / name)).astype(np.float32)
        assert written.std() > 0
        assert np.abs(written - expected.numpy()).max() <= 1  # a batch may round otherwise


def test_sizes_fit_or_are_made_to(tmp_path, unet) -> None:
    picture(tmp_path / "in" / "odd.png", 40, 50)
    files = list_pictures(tmp_path / "in")
    with pytest.raises(ConfigError, match=r"odd.png is 50x40 .* multiples of 32; add fit=pad"):
        plan(unet, files, tmp_path / "out", "none", None)
    [padded] = plan(unet, files, tmp_path / "pad", "pad", None)
    assert (padded.size, padded.shape) == ((40, 50), (64, 64))
    seen = read(padded, 3)
    assert seen.shape == (3, 64, 64)
    assert torch.equal(seen[:, 40:, :50], seen[:, 39:40, :50].expand(3, 24, 50))
    [resized] = plan(unet, files, tmp_path / "resize", "resize", None)
    assert read(resized, 3).shape == (3, 32, 32)
    translate(Translation(unet), [padded])
    translate(Translation(unet), [resized])
    assert Image.open(tmp_path / "pad" / "odd.png").size == (50, 40)
    assert Image.open(tmp_path / "resize" / "odd.png").size == (32, 32)


def test_grey_sixteen_bits_and_orientation(tmp_path, unet) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(np.full((32, 32), 0x8000, np.uint16)).save(folder / "deep.png")
    Image.fromarray(np.full((32, 32), 51, np.uint8)).save(folder / "grey.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(np.zeros((32, 64, 3), np.uint8)).save(folder / "turned.jpg", exif=exif)
    Image.fromarray(np.zeros((32, 32), np.float32)).save(folder / "zfloat.tiff")
    files = list_pictures(folder)
    deep, grey, turned = plan(unet, files[:3], tmp_path / "out", "none", "png")
    torch.testing.assert_close(read(deep, 3), torch.full((3, 32, 32), 128 / 127.5 - 1))
    torch.testing.assert_close(read(grey, 1), torch.full((1, 32, 32), 51 / 127.5 - 1))
    assert turned.shape == (64, 32) == tuple(read(turned, 3).shape[1:])
    with pytest.raises(DataError, match=r"zfloat.tiff holds floating-point numbers"):
        plan(unet, files, tmp_path / "out", "none", "png")


def test_bad_files_and_full_folders_are_named(tmp_path, unet) -> None:
    for suffix in ("png", "jpg"):
        picture(tmp_path / "in" / f"a.{suffix}", 32, 32)
        whole = (tmp_path / "in" / f"a.{suffix}").read_bytes()
        (tmp_path / "in" / f"cut.{suffix}").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / "in" / "a.jpg").unlink()
    with pytest.raises(DataError, match=r"cut.png cannot be read as a picture"):
        plan(unet, list_pictures(tmp_path / "in"), tmp_path / "out", "none", None)
    (tmp_path / "in" / "cut.png").unlink()
    files = list_pictures(tmp_path / "in")
    pictures = plan(unet, files, tmp_path / "out", "none", None)
    with pytest.raises(DataError, match=r"cut.jpg cannot be read as a picture"):
        translate(Translation(unet, batch_size=1), pictures)
    assert not (tmp_path / "out").exists()  # nothing half written, the same call can go on
    translate(Translation(unet), pictures[:1])
    with pytest.raises(ConfigError, match=r"a.png exists already; add overwrite=true"):
        check_output(pictures, overwrite=False)
    check_output(pictures, overwrite=True)
    same = plan(unet, files[:1], tmp_path / "in", "none", None)
    with pytest.raises(ConfigError, match="take the place of the pictures of input"):
        check_output(same, overwrite=True)
    picture(tmp_path / "in" / "a.bmp", 32, 32)
    with pytest.raises(ConfigError, match=r"a.bmp and a.png would both be written to a.jpg"):
        plan(unet, list_pictures(tmp_path / "in"), tmp_path / "out", "none", "jpg")
    with pytest.raises(DataError, match="holds no picture"):
        list_pictures(tmp_path)


@pytest.mark.parametrize("method", ["sft", "full", "piggyback_gan", "progressive"])
def test_every_method_gives_the_network_it_draws_with(run, method) -> None:
    folder = run(f"method={method}", *UNET)
    method, border = load_run(folder)
    pictures = torch.rand(2, 3, 32, 32) * 2 - 1
    drawn = []
    for task in range(2):
        network = task_network(method, border, task)
        assert network.name == ["edges_to_photo", "grey_to_colour"][task]
        assert (network.shape, network.multiple) == ((3, 32, 32), 32)
        with torch.no_grad():
            drawn.append(network.network(pictures))
            assert torch.equal(drawn[-1], method.generate(pictures, torch.full((2,), task)))
            assert network.network(pictures.repeat(1, 1, 1, 2)).shape == (2, 3, 32, 64)
    assert torch.equal(*drawn) == (method.name == "sft")


def test_the_scripts_work_from_end_to_end(run, tmp_path) -> None:
    folder = run("method=full", *UNET)
    picture(tmp_path / "in" / "a.png", 32, 32)
    places = [f"run={folder}", f"output={tmp_path}/out"]
    arguments = [*places, "task=grey_to_colour", f"input={tmp_path}/in", "device=cpu"]
    done = call("lgan.cli.translate", *arguments)
    assert done.returncode == 0, done.stderr
    assert "1 pictures through grey_to_colour" in done.stdout
    done = call("lgan.cli.export", *places, "task=1", "formats=[safetensors,torchscript]")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "export.json").read_text())
    assert report["name"] == "grey_to_colour" and report["method"] == "full"
    assert {row["difference"] for row in report["formats"].values()} == {0.0}
    border = load_run(folder)[1]
    for task, said in (
        (7, "=7 has not been learnt"),
        (None, "=... is missing"),
        (-1, "=-1 has not"),
    ):
        with pytest.raises(ConfigError, match=rf"task{said}.* one of 0 \(edges_to_photo\), 1 "):
            find_task(border, task)


def test_cyclegan_translates_both_ways(run) -> None:
    folder = run(*CYCLE)
    forward, backward = opened(folder), opened(folder, direction="backward")
    pictures = torch.rand(1, 3, 32, 32)
    assert not torch.equal(forward.network(pictures), backward.network(pictures))
    assert (forward.multiple, forward.least) == (4, 8) and forward.fits(12, 8)
    with pytest.raises(ConfigError, match="direction=up is none of"):
        opened(folder, direction="up")


def test_one_way_translators_refuse_the_other(run) -> None:
    with pytest.raises(ConfigError, match="direction=backward .* only objective=cyclegan"):
        opened(run(), direction="backward")


def test_codes_are_each_pictures_own(run, tmp_path) -> None:
    network = opened(run(*BICYCLE))
    assert network.input_names == ("picture", "code") and network.shape == (3, 32, 32)
    for index in range(3):
        picture(tmp_path / "in" / f"{index}.png", 32, 32)  # three times the same
    files = list_pictures(tmp_path / "in")
    for size in (1, 3):
        pictures = plan(network, files, tmp_path / f"out{size}", "none", None)
        translate(Translation(network, batch_size=size), pictures)
    alone, together = (
        np.stack([np.array(Image.open(tmp_path / f"out{size}/{i}.png")) for i in range(3)])
        for size in (1, 3)
    )
    assert np.abs(alone.astype(int) - together).max() <= 1
    assert torch.equal(network.code(0, 1, 2), network.code(0, 0, 3)[1:])
    assert not torch.equal(network.code(0, 0, 1), network.code(1, 0, 1))


# ------------------------------------------------------------------------------------------ export


def test_every_format_computes_the_same(tmp_path, unet) -> None:
    pytest.importorskip("onnxruntime", reason="lgan[export] is not installed")
    pytest.importorskip("onnxscript", reason="lgan[export] is not installed")
    fresh = partial(UnetGenerator, (3, 32, 32), 1, ngf=2, downs=5)
    rows = export(unet, known_formats(fresh), tmp_path)
    assert [rows[name]["difference"] for name in TORCH] == [0, 0, 0]
    assert 0 <= rows["onnx"]["difference"] < 1e-4
    assert rows["onnx"]["compared_on"] == [[[2, 3, 32, 32]], [[1, 3, 64, 96]]]
    import onnxruntime

    session = onnxruntime.InferenceSession(str(next(tmp_path.rglob("*.onnx"))))
    for entry in (*session.get_inputs(), *session.get_outputs()):
        assert entry.shape == ["batch", 3, "rows", "columns"]
    assert load_file(tmp_path / "netG.safetensors").keys() == unet.network.state_dict().keys()
    assert describe(unet)["sides_multiple_of"] == 32


@pytest.mark.parametrize("overrides", [["method=piggyback_gan", *UNET], CYCLE, BICYCLE])
def test_tasks_of_runs_are_exported_and_imported(run, configure, tmp_path, overrides) -> None:
    folder = run(*overrides)
    method, border = load_run(folder)
    for task in range(2):
        network = task_network(method, border, task)
        known = known_formats(method.networks.build_generator)
        names = TORCH if task else ["safetensors"]
        rows = export(network, {name: known[name] for name in names}, tmp_path / str(task))
        assert [rows[name]["difference"] for name in names] == [0] * len(names)
    file = tmp_path / "1" / "netG.safetensors"
    again = build_method(configure(*PHOTOS, *overrides, f"method.init_from={file}"), (3, 32, 32), 2)
    inputs = example_inputs(network, 0)[0]
    begun = again.eval().generator
    with torch.no_grad():
        code = inputs[1:] if network.code_length else ()
        assert torch.equal(begun(inputs[0], None, *code), network.network(*inputs))


def test_columns_have_no_netg_but_are_exported(run, tmp_path) -> None:
    method, border = load_run(run("method=progressive", *UNET))
    network = task_network(method, border, 1)
    known = known_formats(method.networks.build_generator)
    rows = export(network, {name: known[name] for name in TORCH}, tmp_path)
    assert "tensors alone do not say" in rows["safetensors"]["refused"]
    assert rows["torchscript"]["difference"] == rows["torch_export"]["difference"] == 0


def test_generators_of_classes_are_exported_with_two_inputs(configure, tmp_path) -> None:
    method, border = load_run(train(configure("method=per_task", "callbacks.evaluation=null")))
    network = task_network(method, border, 1)
    assert network.input_names == ("noise", "label") and not network.translates
    known = known_formats(method.networks.build_generator)
    rows = export(network, {name: known[name] for name in TORCH}, tmp_path)
    assert [row["difference"] for row in rows.values()] == [0, 0, 0]
    loaded = torch.jit.load(tmp_path / "generator.ts")
    z, y = torch.randn(5, network.shape[0]), torch.full((5,), network.classes[0])
    assert torch.equal(loaded(z, y), method.generate(z, y))


def test_a_file_that_computes_otherwise_is_removed(tmp_path, unet) -> None:
    wrong = Format(
        "wrong",
        lambda network, path, example: path.write_text("x"),
        lambda network, path: lambda x: network.network(x) + 0.5,
    )
    with pytest.raises(RunError, match=r"wrong differs from the run's network by 0.5"):
        export(unet, {"wrong": wrong}, tmp_path)
    assert not (tmp_path / "wrong").exists()
    worst = largest_difference(unet, lambda x: x * float("nan"), example_inputs(unet, 0))
    assert worst == float("inf")


# --------------------------------------------------------------------------------------- init_from


def small(**knobs) -> UnetGenerator:
    return UnetGenerator((3, 32, 32), 1, ngf=2, downs=5, **knobs)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_run_from_when_all_convolutions_had_biases_still_loads(run, recorded) -> None:
    folder = run(*UNET, "network.generator.bias=true")
    config = OmegaConf.load(folder / "config.yaml")
    assert config.network.generator.bias is True
    if not recorded:
        del config.network.generator.bias
        OmegaConf.save(config, folder / "config.yaml")
        record = json.loads((folder / "results.json").read_text())
        assert record.pop("identity")  # as in records of that time
        (folder / "results.json").write_text(json.dumps(record))
    saved = load_run(folder)[0].network_of(0).state_dict()
    assert saved["model.model.0.bias"].any()
    assert opened(folder).network.state_dict().keys() == small(bias=True).state_dict().keys()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_checkpoints_are_read_and_data_parallel_names_shortened(tmp_path, suffix) -> None:
    source, file = filled(small()), tmp_path / f"latest_net_G.{suffix}"
    state = {f"module.{key}": value for key, value in source.state_dict().items()}
    save_file(state, file) if suffix == "safetensors" else torch.save(state, file)
    network = small()
    load_fitting(network, read_checkpoint(file))
    for key, value in source.state_dict().items():
        assert torch.equal(network.state_dict()[key], value), key


def test_biases_that_a_checkpoint_lacks_are_zero(tmp_path) -> None:
    source, network = filled(small(bias=False)).eval(), filled(small(bias=True), 1).eval()
    torch.save(source.state_dict(), tmp_path / "g.pth")
    load_fitting(network, read_checkpoint(tmp_path / "g.pth"))
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(network(x), source(x))
    torch.save(filled(small()).state_dict(), tmp_path / "biased.pth")
    with pytest.raises(ConfigError, match=r"unexpected keys: model.*bias.* 6 more.*bias=true"):
        load_fitting(small(bias=False), read_checkpoint(tmp_path / "biased.pth"))


def test_what_does_not_fit_is_named_with_what_would(tmp_path) -> None:
    torch.save(UnetGenerator((3, 64, 64), 1, ngf=4, downs=6).state_dict(), tmp_path / "g.pth")
    message = r"missing keys: .*UnetGenerator with ngf=4 norm=batch downs=6 bias=true"
    with pytest.raises(ConfigError, match=message):
        load_fitting(ResnetTranslator((3, 32, 32), 1, ngf=2, blocks=1),
                     read_checkpoint(tmp_path / "g.pth"))  # fmt: skip
    torch.save(UnetGenerator((3, 32, 32), 1, ngf=4, downs=5).state_dict(), tmp_path / "w.pth")
    with pytest.raises(ConfigError, match=r"shapes: .*\(4, 3, 4, 4\) instead of \(2, 3, 4, 4\)"):
        load_fitting(small(), read_checkpoint(tmp_path / "w.pth"))


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_resnets_are_recognised(norm, dropout) -> None:
    network = ResnetTranslator((3, 32, 32), 1, ngf=2, blocks=3, norm=norm, dropout=dropout,
                               bias=norm == "instance", input_channels=1)  # fmt: skip
    assert recognise(network.state_dict()) == {
        "network": "ResnetTranslator", "ngf": 2, "blocks": 3, "norm": norm,
        "bias": norm == "instance", "dropout": dropout, "channels": (1, 3),
    }  # fmt: skip
    assert recognise({"a": torch.zeros(1)}) == {}


def test_composites_take_a_file_for_each_part(tmp_path) -> None:
    translator = partial(ResnetTranslator, ngf=2, blocks=1)
    source, network = (CycleGenerator((3, 32, 32), 1, translator=translator) for _ in range(2))
    for name in source.parts:
        torch.save(filled(source.get_submodule(name), len(name)).state_dict(), tmp_path / name)
    files = [read_checkpoint(tmp_path / name) for name in source.parts]
    before = network.backward_.state_dict()["model.1.weight"].clone()
    initialise(network, files[:1])
    assert torch.equal(network.backward_.state_dict()["model.1.weight"], before)
    initialise(network, files)
    for key, value in source.state_dict().items():
        assert torch.equal(network.state_dict()[key], value), key
    with pytest.raises(ConfigError, match="names 2 files, and network.generator has 1 network to"):
        initialise(small(), files)
    bicycle = BicycleGenerator((3, 32, 32), 1, partial(BicycleUnet, ngf=2, downs=5),
                               partial(BicycleEncoder, ndf=2, blocks=3))  # fmt: skip
    torch.save(filled(bicycle.translator).state_dict(), tmp_path / "b.pth")
    initialise(bicycle, [read_checkpoint(tmp_path / "b.pth")])


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_hostile_damaged_and_other_files_are_refused(tmp_path) -> None:
    torch.save({"model": Hostile(tmp_path / "harmed")}, tmp_path / "hostile.pth")
    with pytest.raises(ConfigError, match=r"method.init_from=.*hostile.pth is damaged or holds"):
        read_checkpoint(tmp_path / "hostile.pth")
    assert not (tmp_path / "harmed").exists()
    for name, content in (("a.pth", b"no checkpoint"), ("b.safetensors", b"short")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match="is damaged or holds more than tensors"):
            read_checkpoint(tmp_path / name)
    torch.save({"netG": {"a": torch.zeros(1)}}, tmp_path / "nested.pth")
    with pytest.raises(ConfigError, match="holds no state_dict"):
        read_checkpoint(tmp_path / "nested.pth")
    with pytest.raises(ConfigError, match="is no file"):
        read_checkpoint(tmp_path / "absent.pth")


@pytest.mark.parametrize("method", ["sft", "full", "piggyback_gan", "progressive"])
def test_runs_start_from_a_checkpoint_and_need_it_no_more(run, configure, tmp_path, method) -> None:
    source, file = filled(small(bias=False)).eval(), tmp_path / "latest_net_G.pth"
    torch.save(source.state_dict(), file)
    settings = [f"method={method}", *UNET, f"method.init_from={file}"]
    built = build_method(configure(*PHOTOS, *settings), (3, 32, 32), 2)
    begin(built, 0, [(0,), (1,)])
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(built.eval().generator(x, torch.zeros(2)), source(x))
    if method != "sft":
        return
    folder = run(*settings)
    file.unlink()
    assert len(load_run(folder)[1]["task_classes"]) == 2


def test_the_checkpoint_is_part_of_what_a_run_is(configure) -> None:
    plain = configure(*PHOTOS, *UNET)
    started = configure(*PHOTOS, *UNET, "method.init_from=a.pth")
    assert "method.init_from" not in identity(plain)  # runs made before the key was are the same
    assert identity(started)["method.init_from"] == "a.pth"
    assert fingerprint(plain) != fingerprint(started)
    classifier = configure("method=joint_classifier", f"method.init_from={__file__}")
    with pytest.raises(ConfigError, match="method.init_from"):
        build_method(classifier, (1, 8, 8), 10)
