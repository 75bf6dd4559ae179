"""A stranger's run folder is data: whatever its config.yaml says, nothing of it is run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from short_runs import SHORT

from lgan.errors import LganError
from lgan.inference.load import load_run
from lgan.launch.compose import config_path
from lgan.run.record import RunRecord
from lgan.training.train import train


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache: Path) -> Path:
    own = ["training.steps=1", "data.num_tasks=1", "callbacks.evaluation=null"]
    places = [f"paths.runs={tmp_path_factory.mktemp('runs')}", f"paths.cache={cache}"]
    with initialize_config_dir(config_path(), version_base="1.3"):
        return train(compose("train", [*SHORT, *places, *own]))


@pytest.fixture
def stranger(finished: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(finished, tmp_path / "stranger"))
    record = json.loads((folder / "results.json").read_text())
    del record["identity"]  # which a stranger can make fit any config
    (folder / "results.json").write_text(json.dumps(record))
    return folder


def edit(folder: Path, path: str, value: object) -> None:
    """Set what a key of the folder's config holds; its parts are divided by slashes."""
    content = yaml.safe_load((folder / "config.yaml").read_text())
    *above, name = path.split("/")
    section = content
    for key in above:
        section = section[key]
    section[name] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(content))


def evil(mark: Path) -> dict[str, object]:
    """Return sections that would make a file."""
    command = f"touch {mark}"
    return {
        "os.system": {"_target_": "os.system", "_args_": [command]},
        "the same in lgan's own modules": {"_target_": "lgan.files.os.system", "command": command},
        "a writer of lgan's": {
            "_target_": "lgan.files.write_atomically",
            "path": str(mark),
            "content": "",
        },
        "write_text": {"_target_": "pathlib.Path.write_text", "_args_": [str(mark), "hacked"]},
        "torch.load": {"_target_": "torch.load", "f": str(mark), "weights_only": False},
        "joblib.load": {"_target_": "joblib.load", "filename": str(mark)},
        "get_method": {"_target_": "hydra.utils.get_method", "path": "os.system"},
        "eval": {"_target_": "builtins.eval", "_args_": [f"open({str(mark)!r}, 'w')"]},
        "a nested one": {
            "_target_": "lgan.objectives.acgan.ACGAN",
            "adversarial": {"_target_": "os.system", "_args_": [command]},
        },
        "in a list": {"_target_": "torch.optim.Adam", "betas": [[{"_target_": "os.mkdir"}]]},
        "a partial one": {"_target_": "os.system", "_partial_": True, "command": command},
        "a class": {
            "_target_": "subprocess.Popen",
            "args": ["touch", str(mark)],
        },
    }


@pytest.mark.parametrize("name", evil(Path("x")))
@pytest.mark.parametrize(
    "key", ["method", "objective", "optimizer", "network/generator/extra", "network/generator/a.b"]
)
def test_no_section_of_it_calls_anything(stranger: Path, tmp_path: Path, name, key) -> None:
    mark = tmp_path / "mark"
    section = evil(mark)[name]
    edit(stranger, key, {7: section} if "." in key else section)
    with pytest.raises(LganError, match="is not among what lgan builds"):
        load_run(stranger)
    assert not mark.exists()


def test_its_own_trust_does_not_count(stranger: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "evil_package.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'mark')!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    edit(stranger, "trust", ["evil_package", "os"])
    edit(stranger, "optimizer", {"_target_": "evil_package.Thing"})
    with pytest.raises(LganError, match=r"trust=\[evil_package\]"):
        load_run(stranger)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "text",
    [
        "seed: ${oc.env:SECRET}",
        "seed: ${oc.decode:'1'}",
        "seed: '\\${oc.env:SECRET}'",
        "'${oc.env:SECRET}': 1",
        "method: ${oc.create:{_target_:os.system}}",
        "seed: !!python/object/apply:os.mkdir [mark]",
        "seed: !!python/name:os.system",
        "[1, 2]",
        "seed: [",
        "\x00",
    ],
)
def test_its_config_is_read_as_plain_values(stranger: Path, monkeypatch, text: str) -> None:
    monkeypatch.setenv("SECRET", "hush")
    monkeypatch.chdir(stranger)
    (stranger / "config.yaml").write_text(text)
    with pytest.raises(LganError, match=r"config\.yaml") as error:
        load_run(stranger)
    assert "hush" not in str(error.value)
    assert not os.path.exists("mark")


@pytest.mark.parametrize("name", ["config.yaml", "results.json", "checkpoints/task0.pt"])
def test_a_pipe_is_not_waited_for(stranger: Path, name: str) -> None:
    (stranger / name).unlink()
    os.mkfifo(stranger / name)
    with pytest.raises(LganError, match="regular file"):
        if name == "results.json":
            RunRecord.load(stranger)
        else:
            load_run(stranger)
